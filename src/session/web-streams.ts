/**
 * A data session as WHATWG streams, for code that speaks nothing else.
 *
 * Chunks are owned copies, so a consumer may keep them; what it costs in memory is stated and bounded.
 * ENOMSG and EAGAIN are waited out, and so is an arc under way: a stream has no word for them.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ResumeSide } from './resume-side.ts'
import type { SaveSide } from './save-side.ts'
import type { SessionLife } from './session-life.ts'

/** Most bytes of one chunk of `readable()`. */
export const STREAM_CHUNK_BYTES = 262_144

/**
 * Most bytes taken from the device that a sink has not finished yet, when `readable()` is piped into a
 * sink of the default strategy: the one chunk the sink works on. The stream itself queues none.
 */
export const STREAM_HELD_BYTES: number = STREAM_CHUNK_BYTES

/** The saving side as a stream: open across ENOMSG and into STOP_COPY, closed by the permanent end. */
export function saveStream(life: SessionLife, side: SaveSide): ReadableStream<Uint8Array> {
  let spare: Uint8Array | undefined
  const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
    const chunk = (spare ??= new Uint8Array(STREAM_CHUNK_BYTES))
    const byteLength = await whenReady(life, () => side.read(chunk, false))
    if (byteLength === 0) {
      spare = undefined
      controller.close()
    } else if (byteLength < chunk.length / 2) {
      // A 24-byte chunk must not pin 256 KiB in the consumer's queue.
      controller.enqueue(chunk.slice(0, byteLength))
    } else {
      spare = undefined
      controller.enqueue(chunk.subarray(0, byteLength))
    }
  }
  return new ReadableStream<Uint8Array>({ pull, cancel: () => life.close() }, { highWaterMark: 0 })
}

/**
 * The resuming side as a stream. Closing it says that there are no more bytes, not that they are good:
 * RESUMING is left by `setState`. Aborting it closes the session.
 */
export function resumeStream(life: SessionLife, side: ResumeSide): WritableStream<Uint8Array> {
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      // Nothing checks types on the way through a pipe, and a string has a length, too.
      if (!ArrayBuffer.isView(chunk) || chunk.BYTES_PER_ELEMENT !== 1) {
        throw new VfioError('EINVAL', 'Cannot write: the chunk is no Uint8Array, encode it first', {
          syscall: 'write',
        })
      }
      await whenReady(life, () => side.write(chunk))
    },
    abort: () => life.close(),
  })
}

async function whenReady<T>(life: SessionLife, call: () => T): Promise<T> {
  for (;;) {
    try {
      return call()
    } catch (error) {
      const later = VfioError.is(error, 'ENOMSG') || VfioError.is(error, 'EAGAIN')
      const underWay = life.held && VfioError.is(error, 'EBUSY')
      if (!later && !underWay) throw error
    }
    await life.changed()
  }
}
