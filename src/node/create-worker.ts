/**
 * Engine workers on `node:worker_threads`, which Deno and Bun have, too.
 *
 * @module
 */

import { Worker } from 'node:worker_threads'
import { EngineWorker, type EngineWorkerOptions, type WorkerThread } from '../engine/index.ts'

/** Options of {@link createWorker}. */
export interface WorkerOptions extends EngineWorkerOptions {
  /** The worker's own module, where it does not stand beside this one: `dist/node/engine-worker.js`. */
  script?: URL | string
}

/**
 * Starts a thread that checksums and copies for engines, for the `worker` option of `save` and `restore`.
 * It keeps no program alive; close it when it is not needed any more.
 *
 * @throws {@link VfioError} EIO when the thread does not start
 * @example
 * ```ts
 * import { createEngine, memoryPair, restore, save, VfioDevice } from 'stopcopy'
 * import { createBulk } from 'stopcopy/devices'
 * import { createWorker } from 'stopcopy/node'
 * const engine = await createEngine({ memoryBytes: 64 * 1024 * 1024, shared: true })
 * const source = await VfioDevice.open(createBulk({ memoryBytes: 16 * 1024 * 1024, seed: 1, engine }))
 * const target = await VfioDevice.open(createBulk({ memoryBytes: 16 * 1024 * 1024, seed: 1, engine }))
 * const worker = await createWorker()
 * const [here, there] = memoryPair()
 * await Promise.all([save(source, here, { worker }), restore(target, there, { worker })])
 * await worker.close()
 * ```
 */
export function createWorker(options: WorkerOptions = {}): Promise<EngineWorker> {
  // Deno and Bun run the sources as they are.
  const suffix = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const { script = new URL(`./engine-worker.${suffix}`, import.meta.url) } = options
  // Without the program's own flags: some, such as `--input-type`, no worker starts with.
  const worker = new Worker(script, { name: 'stopcopy', execArgv: [] })
  return EngineWorker.start(new NodeThread(worker), options)
}

class NodeThread implements WorkerThread {
  readonly #worker: Worker
  #error: unknown

  constructor(worker: Worker) {
    this.#worker = worker
    worker.on('error', (error) => {
      this.#error = error
    })
  }

  send(message: unknown, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  onMessage(listener: (message: unknown) => void): void {
    // Until the first message, the start itself must keep the program alive.
    this.#worker.once('message', () => this.#worker.unref())
    this.#worker.on('message', listener)
  }

  onExit(listener: (cause: unknown) => void): void {
    this.#worker.once('exit', () => listener(this.#error))
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }
}
