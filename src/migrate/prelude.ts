/**
 * A look at the front of a migration stream that does not use it up.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import {
  type Configuration,
  openReader,
  type StreamHandler,
  type StreamHeader,
  type StreamReader,
} from '../format/index.ts'
import { type ByteSource, byteSource, settle, type SourceLike } from '../transport/index.ts'
import { asFailure } from './recovery.ts'

/** The front of a stream, and the whole of it. */
export interface Prelude {
  /** The stream's first bytes, checked. */
  readonly header: StreamHeader
  /** What the device must agree with. */
  readonly configuration: Configuration
  /** Gives the stream from its first byte. */
  readonly source: ByteSource
}

/**
 * Reads the header and the CONFIG section, at most 64 KiB and some, so that a device can be made to fit the
 * stream. The source may be unseekable.
 *
 * @throws {@link VfioError} as {@link inspect}; the source is canceled then
 * @example
 * ```ts
 * const { configuration, source } = await readPrelude(fileSource('bulk.stopcopy'))
 * ```
 */
export async function readPrelude(from: SourceLike): Promise<Prelude> {
  const source = byteSource(from)
  try {
    return await read(source)
  } catch (error) {
    const failure = asFailure(error, 'read the start of the stream')
    await settle(() => source.cancel(failure))
    throw failure
  }
}

async function read(source: ByteSource): Promise<Prelude> {
  const front = new Front()
  const { reader } = await openReader(front)
  const pieces: Uint8Array[] = []
  try {
    for (;;) {
      pieces.push(await readPiece(source, reader))
      const { found, options } = front
      if (found === undefined || options === undefined) continue
      return { header: found, configuration: options, source: new ReplayedSource(pieces, source) }
    }
  } finally {
    reader.dispose()
  }
}

/** What the reader told so far. */
class Front implements StreamHandler {
  found: StreamHeader | undefined
  options: Configuration | undefined

  header(header: StreamHeader): void {
    this.found = header
  }

  configuration(configuration: Configuration): void {
    this.options = configuration
  }
}

/** Windows end where a header or a payload does, so nothing beyond CONFIG is read. */
async function readPiece(source: ByteSource, reader: StreamReader): Promise<Uint8Array> {
  const window = reader.window(Number.MAX_SAFE_INTEGER)
  const byteLength = await source.read(window)
  // The stream ends before its CONFIG does, so this throws.
  if (byteLength === 0) reader.finish()
  const piece = window.slice(0, byteLength)
  reader.commit(byteLength)
  return piece
}

/** Pieces that were read already, then the rest. */
class ReplayedSource implements ByteSource {
  readonly #pieces: Uint8Array[]
  readonly #source: ByteSource

  constructor(pieces: Uint8Array[], source: ByteSource) {
    this.#pieces = pieces
    this.#source = source
  }

  get byteLength(): number | undefined {
    return this.#source.byteLength
  }

  read(dst: Uint8Array): Awaitable<number> {
    const [piece] = this.#pieces
    if (piece === undefined) return this.#source.read(dst)
    const part = piece.subarray(0, dst.length)
    dst.set(part)
    if (part.length === piece.length) this.#pieces.shift()
    else this.#pieces[0] = piece.subarray(part.length)
    return part.length
  }

  cancel(reason: unknown): Awaitable<void> {
    this.#pieces.length = 0
    return this.#source.cancel(reason)
  }
}
