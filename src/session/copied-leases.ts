/**
 * Leases of a driver that has none of its own: copies made by `read`, in a few buffers that are used
 * again after their release.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Most bytes of one copied lease. */
export const COPIED_LEASE_BYTES = 65_536

/** Most copied leases out at a time; the next one is EAGAIN. */
export const COPIED_LEASES_OUT = 16

/** The buffers of one session. */
export class CopiedLeases {
  readonly #out: Uint8Array[] = []
  readonly #spare: Uint8Array[] = []

  /** Whether all buffers are out. */
  get exhausted(): boolean {
    return this.#out.length >= COPIED_LEASES_OUT
  }

  /** What `read` gave, or an empty view when it gave nothing; EAGAIN when all buffers are out. */
  lease(maxBytes: number, read: (dst: Uint8Array) => number): Uint8Array {
    if (this.exhausted) {
      throw new VfioError('EAGAIN', `Cannot lease: ${COPIED_LEASES_OUT} leases are out, release one`, {
        syscall: 'lease',
      })
    }
    const buffer = this.#spare.pop() ?? new Uint8Array(COPIED_LEASE_BYTES)
    let byteLength = 0
    try {
      byteLength = read(buffer.subarray(0, Math.min(maxBytes, COPIED_LEASE_BYTES)))
    } finally {
      if (byteLength === 0) this.#spare.push(buffer)
      else this.#out.push(buffer)
    }
    return buffer.subarray(0, byteLength)
  }

  /** Takes back the oldest. */
  release(): void {
    this.#spare.push(this.#out.shift()!)
  }
}
