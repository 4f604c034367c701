/**
 * The saving side of an mtty session: a fixed buffer of which PRE_COPY fills the header and
 * STOP_COPY the rest.
 *
 * @module
 */

import type { PrecopyInfo, SaveEnd } from '../../session/session-end.ts'
import { POLLIN, POLLRDNORM } from '../../uapi/poll.ts'
import { HEADER_BYTES, imageBytes, portRecord, writeHeader } from './image.ts'

/** A stream being saved. */
export class MttySaveEnd implements SaveEnd {
  readonly direction = 'save'
  /** Profile exact: the Linux driver answers 0 at the temporary end of PRE_COPY. */
  readonly rawEnd: boolean
  readonly #image: Uint8Array
  #filled = HEADER_BYTES
  #position = 0
  #wake: () => void = () => {}

  constructor(ports: number, rawEnd: boolean) {
    this.rawEnd = rawEnd
    this.#image = new Uint8Array(imageBytes(ports))
    writeHeader(this.#image, ports)
  }

  /** Appends the ports as they are now; what the device does later is not seen here. */
  appendPorts(records: readonly Uint8Array[]): void {
    for (const [index, record] of records.entries()) portRecord(this.#image, index).set(record)
    this.#filled = this.#image.length
    this.#wake()
  }

  read(dst: Uint8Array): number {
    const byteLength = Math.min(dst.length, this.#filled - this.#position)
    dst.set(this.#image.subarray(this.#position, this.#position + byteLength))
    this.#position += byteLength
    return byteLength
  }

  /** Profile exact has no poll handler, which Linux takes as always ready. */
  poll(): number {
    const isIdle = this.#position === this.#filled && this.#filled < this.#image.length
    return isIdle && !this.rawEnd ? 0 : POLLIN | POLLRDNORM
  }

  /** All that is filled is initial data: nothing here can get dirty. */
  precopyInfo(): PrecopyInfo {
    return { initialBytes: this.#filled - this.#position, dirtyBytes: 0, reinit: false }
  }

  attach(wake: () => void): void {
    this.#wake = wake
  }

  /** The buffer stays: a user may close the session in PRE_COPY and the device still enters STOP_COPY. */
  end(): void {
    this.#wake = () => {}
  }
}
