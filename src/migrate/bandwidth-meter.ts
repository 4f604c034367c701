/**
 * How fast a link takes bytes, measured while it was taking some.
 *
 * @module
 */

/** A write below this measures the round trip of a call, not the link. */
const SMALL_WRITE_BYTES = 65_536

/** Pieces the window is kept in, so that memory does not depend on how many writes it holds. */
const SLICES = 32

/** Shortest time a write counts with: no clock tells less, and no link is infinitely fast. */
const LEAST_BUSY_MS = 0.001

/** Writes that followed each other; the small ones apart. */
interface Slice {
  largeBytes: number
  largeMs: number
  smallBytes: number
  smallMs: number
}

/**
 * Bytes per second over a sliding window of *busy* time: idle time between writes does not count, so a
 * sender that waits for its device is not taken for a slow link.
 */
export class BandwidthMeter {
  readonly #windowMs: number
  readonly #slices: Slice[] = []

  /** @param windowMs - busy time that counts */
  constructor(windowMs = 1000) {
    this.#windowMs = windowMs
  }

  /** A write of `byteLength` bytes took `busyMs`. */
  record(byteLength: number, busyMs: number): void {
    if (!(byteLength > 0)) return
    const ms = busyMs > LEAST_BUSY_MS ? busyMs : LEAST_BUSY_MS
    const slice = this.#sliceFor()
    if (byteLength < SMALL_WRITE_BYTES) {
      slice.smallBytes += byteLength
      slice.smallMs += ms
    } else {
      slice.largeBytes += byteLength
      slice.largeMs += ms
    }
    this.#forgetOld()
  }

  /** Undefined before anything was recorded. Small writes count only where the window has no larger one. */
  get bytesPerSecond(): number | undefined {
    const sum = { largeBytes: 0, largeMs: 0, smallBytes: 0, smallMs: 0 }
    for (const { largeBytes, largeMs, smallBytes, smallMs } of this.#slices) {
      sum.largeBytes += largeBytes
      sum.largeMs += largeMs
      sum.smallBytes += smallBytes
      sum.smallMs += smallMs
    }
    if (sum.largeBytes > 0) return (sum.largeBytes * 1000) / sum.largeMs
    return sum.smallBytes > 0 ? (sum.smallBytes * 1000) / sum.smallMs : undefined
  }

  #sliceFor(): Slice {
    const last = this.#slices.at(-1)
    if (last !== undefined && busyOf(last) < this.#windowMs / SLICES) return last
    const slice = { largeBytes: 0, largeMs: 0, smallBytes: 0, smallMs: 0 }
    this.#slices.push(slice)
    return slice
  }

  /** Drops what the window no longer needs to be full; never the newest. */
  #forgetOld(): void {
    let busyMs = this.#slices.reduce((total, slice) => total + busyOf(slice), 0)
    while (this.#slices.length > 1) {
      busyMs -= busyOf(this.#slices[0]!)
      if (busyMs < this.#windowMs) return
      this.#slices.shift()
    }
  }
}

function busyOf(slice: Slice): number {
  return slice.largeMs + slice.smallMs
}
