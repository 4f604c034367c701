/**
 * The worker's side: takes jobs from the ring or from messages and runs them.
 *
 * @module
 */

import { SCRATCH_BYTES, createKernels } from './create-kernels.ts'
import type { EngineShare, Kernels } from './engine.ts'
import { runJob } from './job.ts'
import { JobRing } from './job-ring.ts'
import type { KernelAbi } from './kernel-abi.ts'
import { WASM_PAGE_BYTES, loadKernels } from './load.ts'
import { createReferenceKernels } from './reference/kernels.ts'
import { type FromWorker, type ToWorker, TRANSFER_BYTES, type WorkerPort } from './worker-messages.ts'

/** Kernels over one memory. */
interface Attached {
  readonly kernels: Kernels
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Serves the thread at the other end of the port; returns at once. */
export function serveJobs(port: WorkerPort): void {
  const server = new JobServer(port)
  port.onMessage((message) => server.take(message as ToWorker))
  server.tell({ type: 'ready' })
}

class JobServer {
  readonly #port: WorkerPort
  readonly #engines = new Map<number, Attached>()
  #own: Attached | undefined
  #ring: JobRing | undefined
  #pings = false

  constructor(port: WorkerPort) {
    this.#port = port
  }

  tell(message: FromWorker, transfer?: ArrayBuffer[]): void {
    this.#port.send(message, transfer)
  }

  take(message: ToWorker): void {
    if (message.type === 'ring') {
      this.#ring = new JobRing(message.ring)
      this.#pings = message.pings
    } else if (message.type === 'attach') {
      this.#attach(message.id, () => {
        this.#engines.set(message.id, attach(message.share, message.scratch))
      })
    } else if (message.type === 'own') {
      this.#attach(message.id, () => {
        this.#own ??= ownMemory(message.module)
      })
    } else if (message.type === 'detach') this.#engines.delete(message.id)
    else if (message.type === 'close') this.tell({ type: 'closing' })
    else if (message.type === 'checksum') this.#checksum(message)
    else this.#run(message.run)
  }

  #attach(id: number, call: () => void): void {
    try {
      call()
      this.tell({ type: 'attached', id })
    } catch (error) {
      this.tell({ type: 'attached', id, refusal: String(error) })
    }
  }

  #run(run: number): void {
    const ring = this.#ring as JobRing
    for (let slot = ring.takeInRun(run); slot >= 0; slot = ring.takeInRun(run)) {
      const job = ring.job(slot)
      let done = true
      try {
        const { kernels, view } = this.#engines.get(job.engine) as Attached
        runJob(kernels, view, job)
      } catch {
        // A job outside the memory: its poster made it up.
        done = false
      }
      ring.end(slot, done)
      if (this.#pings) this.tell({ type: 'ping' })
    }
  }

  #checksum(message: Extract<ToWorker, { type: 'checksum' }>): void {
    const { job, kind, byteLength, buffer } = message
    let low = 0
    let high = 0
    let refusal: string | undefined
    try {
      const { kernels, bytes, view } = this.#own as Attached
      bytes.set(new Uint8Array(buffer, 0, byteLength), SCRATCH_BYTES)
      const out = SCRATCH_BYTES + TRANSFER_BYTES
      runJob(kernels, view, { kind, src: SCRATCH_BYTES, byteLength, copyTo: 0, out })
      low = view.getUint32(out, true)
      high = view.getUint32(out + 4, true)
    } catch (error) {
      refusal = String(error)
    }
    const answer = { type: 'checksummed', job, low, high, buffer } as const
    this.tell(refusal === undefined ? answer : { ...answer, refusal }, [buffer])
  }
}

function attach(share: EngineShare, scratch: number): Attached {
  const { memory, module } = share
  if (module === undefined) {
    const bytes = new Uint8Array(memory as SharedArrayBuffer)
    return attached(createReferenceKernels(bytes), bytes.buffer, scratch)
  }
  const linear = memory as WebAssembly.Memory
  return attached(loadKernels(module, linear).abi, linear.buffer, scratch)
}

function ownMemory(module: object | undefined): Attached {
  const pages = Math.ceil((SCRATCH_BYTES + TRANSFER_BYTES + 8) / WASM_PAGE_BYTES)
  if (module === undefined) {
    const bytes = new Uint8Array(pages * WASM_PAGE_BYTES)
    return attached(createReferenceKernels(bytes), bytes.buffer, 0)
  }
  const memory = new WebAssembly.Memory({ initial: pages })
  return attached(loadKernels(module, memory).abi, memory.buffer, 0)
}

function attached(abi: KernelAbi, buffer: ArrayBufferLike, scratch: number): Attached {
  return {
    kernels: createKernels(abi, buffer, scratch),
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
  }
}
