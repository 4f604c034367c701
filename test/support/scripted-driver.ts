/**
 * A driver that does what a test tells it: records its arcs, fails or waits where asked, and streams
 * plain bytes. It has no format and no memory of its own.
 *
 * @module
 */

import type { DeviceIdentity, DeviceRegions, DirtyLogOps, Driver } from '../../src/device/driver.ts'
import { opensSession } from '../../src/fsm/session-arcs.ts'
import type { PrecopyInfo, ResumeEnd, SaveEnd, SessionEnd } from '../../src/session/session-end.ts'
import { POLLIN, POLLRDNORM } from '../../src/uapi/poll.ts'
import { DeviceState, deviceStateName } from '../../src/uapi/state.ts'

type Hook = (arc: string, signal: AbortSignal) => void | Promise<void>

/** Saving end over bytes that tests push. */
export class ScriptedSave implements SaveEnd {
  readonly direction = 'save'
  readonly rawEnd: boolean
  ended = 0
  reads = 0
  bytesRead = 0
  info: PrecopyInfo = { initialBytes: 24, dirtyBytes: 0, reinit: false }
  /** Thrown by the next read. */
  failure: unknown
  #queue: Uint8Array
  #wake: () => void = () => {}

  constructor(bytes: Uint8Array, options: { rawEnd?: boolean } = {}) {
    this.#queue = bytes
    this.rawEnd = options.rawEnd ?? false
  }

  push(bytes: Uint8Array): void {
    this.#queue = Uint8Array.from([...this.#queue, ...bytes])
    this.#wake()
  }

  read(dst: Uint8Array): number {
    this.reads++
    if (this.failure !== undefined) throw this.failure as Error
    const bytes = this.#queue.subarray(0, dst.length)
    dst.set(bytes)
    this.#queue = this.#queue.subarray(bytes.length)
    this.bytesRead += bytes.length
    return bytes.length
  }

  poll(): number {
    return this.#queue.length > 0 || this.atPermanentEnd ? POLLIN | POLLRDNORM : 0
  }

  /** Set by the driver when STOP_COPY is entered: an end is readable then. */
  atPermanentEnd = false

  attach(wake: () => void): void {
    this.#wake = wake
  }

  precopyInfo(): PrecopyInfo {
    return this.info
  }

  end(): void {
    this.ended++
  }
}

/** Resuming end that keeps what it gets. */
export class ScriptedResume implements ResumeEnd {
  readonly direction = 'resume'
  readonly taken: number[] = []
  ended = 0
  writes = 0
  /** Thrown by the next write only: a careless driver that forgets its failures. */
  failNext: unknown
  #wake: () => void = () => {}

  write(src: Uint8Array): number {
    this.writes++
    const failure = this.failNext
    this.failNext = undefined
    if (failure !== undefined) throw failure as Error
    this.taken.push(...src)
    return src.length
  }

  attach(wake: () => void): void {
    this.#wake = wake
  }

  wake(): void {
    this.#wake()
  }

  end(): void {
    this.ended++
  }
}

export interface ScriptedOptions {
  flags?: number
  profile?: 'strict' | 'exact'
  dirtyLog?: DirtyLogOps
  regions?: DeviceRegions
  /** What a saving session carries; pushed to later through `save`. */
  bytes?: Uint8Array
}

/** Records calls in `calls`: 'open', 'STOP>STOP_COPY', 'reset', 'close'. */
export class ScriptedDriver implements Driver {
  readonly flags: number
  readonly identity: DeviceIdentity = {
    type: 'scripted',
    version: 1,
    fingerprint: new Uint8Array(8),
    stream: 'opaque',
  }
  readonly profile: 'strict' | 'exact'
  readonly dirtyLog: DirtyLogOps | undefined
  readonly regions: DeviceRegions | undefined
  readonly calls: string[] = []
  /** The newest ends. */
  save: ScriptedSave | undefined
  resume: ScriptedResume | undefined
  /** Called for each arc, before it is made; throw to fail it, return a promise to block it. */
  onArc: Hook = () => {}
  onReset: () => void | Promise<void> = () => {}
  onOpen: () => void = () => {}
  onClose: () => void = () => {}
  length: number = 60
  /** Overrides what an arc returns. */
  endFor: ((arc: string) => SessionEnd | undefined) | undefined
  readonly #bytes: Uint8Array
  #busy = false

  constructor(options: ScriptedOptions = {}) {
    this.flags = options.flags ?? 7
    this.profile = options.profile ?? 'strict'
    this.dirtyLog = options.dirtyLog
    this.regions = options.regions
    this.#bytes = options.bytes ?? Uint8Array.of(1, 2, 3, 4, 5)
  }

  open(): void {
    this.calls.push('open')
    this.onOpen()
  }

  close(): void {
    this.calls.push('close')
    this.onClose()
  }

  async transition(
    from: DeviceState,
    to: DeviceState,
    { signal }: { signal: AbortSignal },
  ): Promise<void | SessionEnd> {
    if (this.#busy) throw new Error('the driver was re-entered')
    this.#busy = true
    const arc = `${deviceStateName(from)}>${deviceStateName(to)}`
    try {
      await this.onArc(arc, signal)
    } finally {
      this.#busy = false
    }
    this.calls.push(arc)
    if (to === DeviceState.STOP_COPY && this.save !== undefined) this.save.atPermanentEnd = true
    if (this.endFor !== undefined) return this.endFor(arc)
    const direction = opensSession(from, to)
    if (direction === 'resume') return (this.resume = new ScriptedResume())
    if (direction === 'save') {
      this.save = new ScriptedSave(this.#bytes, { rawEnd: this.profile === 'exact' })
      this.save.atPermanentEnd = to === DeviceState.STOP_COPY
      return this.save
    }
    return undefined
  }

  stopCopyLength(): number {
    return this.length
  }

  async reset(): Promise<void> {
    if (this.#busy) throw new Error('the driver was re-entered')
    await this.onReset()
    this.calls.push('reset')
  }
}
