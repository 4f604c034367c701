/**
 * An opaque driver of any size whose pre-copy begins anew as often as it is told: it sends its content in
 * numbered pieces, and the side that loads must get them all, in order.
 *
 * @module
 */

import type { DeviceIdentity, Driver } from '../../src/device/driver.ts'
import { VfioError } from '../../src/errors.ts'
import type { PrecopyInfo, ResumeEnd, SaveEnd, SessionEnd } from '../../src/session/session-end.ts'
import { opensSession } from '../../src/fsm/session-arcs.ts'
import { POLLIN, POLLRDNORM } from '../../src/uapi/poll.ts'
import { DeviceState } from '../../src/uapi/state.ts'

export interface ReinitOptions {
  /** Bytes of each initial chunk. */
  readonly initialBytes: number
  /** How often an initial chunk begins again. */
  readonly reinits: number
  /** Bytes that are left for STOP_COPY. */
  readonly restBytes: number
}

/** What it sent, or got. */
export class ReinitDriver implements Driver {
  readonly flags = 7
  readonly identity: DeviceIdentity = {
    type: 'reinit',
    version: 1,
    fingerprint: new Uint8Array(8),
    stream: 'opaque',
  }
  /** All bytes that a session carried, in order. */
  readonly carried: Uint8Array[] = []
  readonly #options: ReinitOptions
  #save: ReinitSave | undefined

  constructor(options: ReinitOptions) {
    this.#options = options
  }

  transition(from: DeviceState, to: DeviceState): void | SessionEnd {
    if (to === DeviceState.STOP_COPY && this.#save !== undefined) this.#save.stop()
    const direction = opensSession(from, to)
    if (direction === 'save') {
      this.#save = new ReinitSave(this.#options, this.carried)
      if (to === DeviceState.STOP_COPY) this.#save.stop()
      return this.#save
    }
    if (direction === 'resume') return new CollectingEnd(this.carried)
    if (to === DeviceState.STOP) this.#save = undefined
  }

  stopCopyLength(): number {
    return this.#options.restBytes
  }

  reset(): void {
    this.carried.length = 0
    this.#save = undefined
  }
}

class ReinitSave implements SaveEnd {
  readonly direction = 'save'
  readonly #carried: Uint8Array[]
  readonly #options: ReinitOptions
  #initialLeft: number
  #reinitsLeft: number
  #restLeft = 0
  #isNew = false
  #stopped = false
  #next = 1
  #wake: () => void = () => {}

  constructor(options: ReinitOptions, carried: Uint8Array[]) {
    this.#options = options
    this.#carried = carried
    this.#initialLeft = options.initialBytes
    this.#reinitsLeft = options.reinits
  }

  stop(): void {
    this.#stopped = true
    this.#restLeft = this.#options.restBytes
    this.#wake()
  }

  read(dst: Uint8Array): number {
    const byteLength = Math.min(dst.length, this.#initialLeft + this.#restLeft)
    if (byteLength === 0) {
      if (!this.#stopped && this.#reinitsLeft > 0 && this.#initialLeft === 0) {
        this.#reinitsLeft--
        this.#initialLeft = this.#options.initialBytes
        this.#isNew = true
        queueMicrotask(this.#wake)
      }
      return 0
    }
    const fromInitial = Math.min(byteLength, this.#initialLeft)
    this.#initialLeft -= fromInitial
    this.#restLeft -= byteLength - fromInitial
    for (let at = 0; at < byteLength; at++) dst[at] = (this.#next = (this.#next * 48271) % 0x7fffffff) & 255
    this.#carried.push(dst.slice(0, byteLength))
    return byteLength
  }

  poll(): number {
    return this.#stopped || this.#initialLeft > 0 ? POLLIN | POLLRDNORM : 0
  }

  attach(wake: () => void): void {
    this.#wake = wake
  }

  precopyInfo(): PrecopyInfo {
    const reinit = this.#isNew
    this.#isNew = false
    return { initialBytes: this.#initialLeft, dirtyBytes: 0, reinit }
  }

  end(): void {
    // Nothing is held.
  }
}

class CollectingEnd implements ResumeEnd {
  readonly direction = 'resume'
  readonly #carried: Uint8Array[]
  #ended = false

  constructor(carried: Uint8Array[]) {
    this.#carried = carried
  }

  write(src: Uint8Array): number {
    if (this.#ended) throw new VfioError('EBADF', 'Cannot write: the session ended')
    this.#carried.push(src.slice())
    return src.length
  }

  end(): void {
    this.#ended = true
  }
}
