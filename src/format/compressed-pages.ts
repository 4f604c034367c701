/**
 * PAGES_LZ4 on the reading side: the section stands for a PAGES section, which the handler is told instead.
 *
 * ```text
 *  0  u32     bytes of the pages
 *  4  u8[n]   one LZ4 block that holds exactly so many
 * ```
 *
 * The block is untrusted even under a right checksum: the kernel writes nothing outside the declared bytes,
 * and those were checked against the region before.
 *
 * @module
 */

import type { Engine } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import { COMPRESSED_PREFIX_BYTES, type SectionHeader, Tag } from './section.ts'
import { StreamFault } from './stream-fault.ts'

/** Decompresses the pages of one stream; holds a buffer for those that nobody places. */
export class CompressedPages {
  readonly #engine: Engine
  #place: number | undefined
  #room = 0
  #buffer = 0
  #bufferBytes = 0

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /**
   * A PAGES_LZ4 section begins.
   *
   * @param place - where its pages belong, or undefined for a buffer here
   * @param room - most bytes that the pages can be
   */
  begin(place: number | undefined, room: number): void {
    this.#place = place
    this.#room = room
  }

  /** The pages' bytes, as the payload at `pointer` declares them. */
  declaredBytes(pointer: number): number {
    const { buffer, byteOffset } = this.#engine.bytes
    return new DataView(buffer, byteOffset + pointer, COMPRESSED_PREFIX_BYTES).getUint32(0, true)
  }

  /**
   * Decompresses the verified payload at `pointer`, whose declared bytes were checked; where the pages are.
   *
   * @throws {@link StreamFault} EPROTO when the block is malformed or of another length; what it had written
   * by then stays, inside the declared bytes. {@link VfioError} ENOMEM without room for a buffer
   */
  decompress(pointer: number, payloadBytes: number, pageBytes: number): number {
    const dst = this.#place ?? this.#ownBuffer()
    const block = pointer + COMPRESSED_PREFIX_BYTES
    const blockBytes = payloadBytes - COMPRESSED_PREFIX_BYTES
    let byteLength: number
    try {
      byteLength = this.#engine.kernels.lz4Decompress(block, blockBytes, dst, pageBytes)
    } catch (error) {
      if (!VfioError.is(error, 'EINVAL')) throw error
      throw new StreamFault(
        'EPROTO',
        `its LZ4 block is malformed or holds more than the ${pageBytes} bytes declared`,
      )
    }
    if (byteLength !== pageBytes)
      throw new StreamFault('EPROTO', `its LZ4 block holds ${byteLength} of the ${pageBytes} bytes declared`)
    return dst
  }

  /** Gives the memory back. */
  dispose(): void {
    if (this.#bufferBytes > 0) this.#engine.free(this.#buffer)
    this.#bufferBytes = 0
  }

  #ownBuffer(): number {
    if (this.#room > this.#bufferBytes) {
      this.dispose()
      this.#buffer = this.#engine.allocate(this.#room)
      this.#bufferBytes = this.#room
    }
    return this.#buffer
  }
}

/** The PAGES section that a PAGES_LZ4 section stands for, when its pages have `byteLength` bytes. */
export function pagesOf(section: SectionHeader, byteLength: number): SectionHeader {
  return { ...section, tag: Tag.PAGES, payloadBytes: byteLength }
}
