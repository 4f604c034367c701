/**
 * The sending half of one connection of a migration: frames, one after the other.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { type ByteSink, settle } from '../../transport/index.ts'
import { encodeDataHeader, encodeMessage, type OutgoingMessage } from './frame.ts'

/** Writes frames; a second one waits until the sink took the first. */
export class FrameWriter {
  readonly #sink: ByteSink
  #tail: Promise<void> = Promise.resolve()
  #underWay = 0
  #failure: VfioError | undefined

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  /** Whether no frame is being written. */
  get idle(): boolean {
    return this.#underWay === 0
  }

  /**
   * Settles when the sink took the message.
   *
   * @param onBegin - called just before its first byte is written; not at all when it is given up before
   */
  message(id: string, message: OutgoingMessage, onBegin?: () => void): Promise<void> {
    return this.#write(() => {
      onBegin?.()
      return encodeMessage(id, message)
    })
  }

  /** Settles when the sink took the frame; the chunks may be reused then. */
  data(
    id: string,
    place: { index: number; position: number; byteLength: number },
    chunks: readonly Uint8Array[],
  ): Promise<void> {
    const { index, position, byteLength } = place
    return this.#write(() => [encodeDataHeader(id, index, position, byteLength), ...chunks])
  }

  /** Ends this direction after the frames under way. */
  async close(): Promise<void> {
    await this.#tail
    if (this.#failure === undefined) await this.#sink.close()
  }

  /** Gives up: a frame under way settles. */
  async abort(reason: unknown): Promise<void> {
    this.#failure ??= new VfioError('EPIPE', 'Cannot write to the migration link: it was given up', {
      cause: reason,
    })
    await settle(() => this.#sink.abort(reason))
    await this.#tail
  }

  #write(frame: () => Uint8Array[]): Promise<void> {
    this.#underWay++
    const writing = this.#tail.then(async () => {
      try {
        // Half a frame may have gone out: nothing can follow it.
        if (this.#failure !== undefined) throw this.#failure
        await this.#sink.write(frame())
      } catch (error) {
        this.#failure ??= linkFailure(error, 'write to')
        throw this.#failure
      } finally {
        this.#underWay--
      }
    })
    this.#tail = writing.catch(() => {})
    return writing
  }
}

/** Any failure of a connection as one of the link, its errno kept where it has one. */
export function linkFailure(error: unknown, action: string): VfioError {
  if (VfioError.is(error)) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new VfioError('EIO', `Cannot ${action} the migration link: ${reason}, connect again`, {
    cause: error,
  })
}
