/**
 * Memory for large payloads, used again: a migration is thousands of them, all of one size.
 *
 * @module
 */

/** A payload of fewer bytes is cheaper in memory of its own. */
const SMALLEST_BYTES = 16_384
const MOST_SPARE = 2

/** A few buffers of one size. */
export class PayloadBuffers {
  readonly #bufferBytes: number
  readonly #spare: ArrayBuffer[] = []

  /** @param bufferBytes - of the longest payload */
  constructor(bufferBytes: number) {
    this.#bufferBytes = bufferBytes
  }

  /** Memory for a payload; undefined where it should have its own. */
  take(byteLength: number): Uint8Array | undefined {
    if (byteLength < SMALLEST_BYTES || byteLength > this.#bufferBytes) return undefined
    return new Uint8Array(this.#spare.pop() ?? new ArrayBuffer(this.#bufferBytes), 0, byteLength)
  }

  /** Gives a payload back, whose bytes are not looked at any more; what is none of ours is passed over. */
  give({ buffer }: Uint8Array): void {
    if (buffer.byteLength !== this.#bufferBytes || this.#spare.length >= MOST_SPARE) return
    if (buffer instanceof ArrayBuffer) this.#spare.push(buffer)
  }
}
