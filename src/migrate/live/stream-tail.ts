/**
 * The last bytes of a stream that is passing by. A checked stream ends with its digest over all of its
 * sections' checksums, so both ends can compare it at no cost.
 *
 * @module
 */

import { toHex } from '../handover/frame.ts'

/** Bytes of the digest at the end of the END section. */
const DIGEST_BYTES = 8

/** Keeps the last 8 bytes of what it sees. */
export class StreamTail {
  readonly #bytes: Uint8Array = new Uint8Array(DIGEST_BYTES)

  /** The next bytes of the stream. */
  add(chunk: Uint8Array): void {
    const bytes = this.#bytes
    if (chunk.length >= DIGEST_BYTES) {
      bytes.set(chunk.subarray(chunk.length - DIGEST_BYTES))
      return
    }
    bytes.copyWithin(0, chunk.length)
    bytes.set(chunk, DIGEST_BYTES - chunk.length)
  }

  /** Those bytes as hexadecimal digits. */
  get digest(): string {
    return toHex(this.#bytes)
  }
}
