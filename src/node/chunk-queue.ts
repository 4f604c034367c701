/**
 * Chunks of a Node stream that were received and not read: for sockets that cannot receive into our memory.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** The stream is paused while so many bytes are held; it goes on by at most one of its own chunks. */
const PAUSE_BYTES: number = 256 * 1024

/** Chunks in the order they came. */
export class ChunkQueue {
  readonly #chunks: Uint8Array[] = []
  /** Bytes of each lease that is out. */
  readonly #lent: number[] = []
  #lentBytes = 0
  #byteLength = 0

  get byteLength(): number {
    return this.#byteLength
  }

  /** Whether there is room for more. */
  get free(): boolean {
    return this.#byteLength + this.#lentBytes < PAUSE_BYTES
  }

  received(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#byteLength += chunk.length
  }

  take(dst: Uint8Array): number {
    let filled = 0
    while (filled < dst.length && this.#byteLength > 0) {
      const bytes = this.#next(dst.length - filled)
      dst.set(bytes, filled)
      filled += bytes.length
    }
    return filled
  }

  lend(maxBytes: number): Uint8Array {
    const bytes = this.#next(maxBytes)
    this.#lent.push(bytes.length)
    this.#lentBytes += bytes.length
    return bytes
  }

  release(): void {
    const byteLength = this.#lent.shift()
    if (byteLength === undefined) {
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, lease first')
    }
    this.#lentBytes -= byteLength
  }

  clear(): void {
    this.#chunks.length = 0
    this.#byteLength = 0
  }

  #next(maxBytes: number): Uint8Array {
    const chunk = this.#chunks[0] as Uint8Array
    const bytes = chunk.subarray(0, maxBytes)
    if (bytes.length === chunk.length) this.#chunks.shift()
    else this.#chunks[0] = chunk.subarray(bytes.length)
    this.#byteLength -= bytes.length
    return bytes
  }
}
