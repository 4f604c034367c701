/**
 * Counts the zero pages of a checked stream that is passing by: pages of which only the number was sent.
 *
 * @module
 */

import { HEADER_BYTES, SECTION_HEADER_BYTES, Tag, ZERO_PAYLOAD_BYTES } from '../../format/index.ts'

/** Reads section headers as they pass, however the stream is cut; trusts them, since they are our own. */
export class ZeroPageMeter {
  /** Pages of ZERO sections so far; a page may be sent more than once. */
  pages = 0
  readonly #bytes: Uint8Array = new Uint8Array(SECTION_HEADER_BYTES + ZERO_PAYLOAD_BYTES)
  readonly #view: DataView = new DataView(this.#bytes.buffer)
  /** Bytes to pass over, then bytes to collect. */
  #skip: number = HEADER_BYTES
  #filled = 0
  #wanted: number = SECTION_HEADER_BYTES

  /** The next bytes of the stream. */
  add(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const skipped = Math.min(this.#skip, chunk.length - at)
      this.#skip -= skipped
      at += skipped
      if (this.#skip > 0) return
      const part = chunk.subarray(at, at + this.#wanted - this.#filled)
      this.#bytes.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled === this.#wanted) this.#collected()
    }
  }

  #collected(): void {
    const isZero = this.#view.getUint16(0, true) === Tag.ZERO
    if (isZero && this.#wanted === SECTION_HEADER_BYTES) {
      this.#wanted += ZERO_PAYLOAD_BYTES
      return
    }
    if (isZero) this.pages += Number(this.#view.getBigUint64(SECTION_HEADER_BYTES, true))
    else this.#skip = this.#view.getUint32(8, true)
    this.#filled = 0
    this.#wanted = SECTION_HEADER_BYTES
  }
}
