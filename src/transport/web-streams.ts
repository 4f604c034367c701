/**
 * WHATWG streams as transports.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { ByteDuplex, ByteSink, ByteSource } from './byte-stream.ts'
import { ownedChunks } from './owned-chunks.ts'

/** A stream of either kind, for calls that take both. */
export type SinkLike = ByteSink | WritableStream<Uint8Array>
/** A stream of either kind, for calls that take both. */
export type SourceLike = ByteSource | ReadableStream<Uint8Array>

/** Both directions of either kind; WHATWG streams as a pair, such as a WebTransport stream. */
export type DuplexLike =
  | ByteDuplex
  | { readonly readable: ReadableStream<Uint8Array>; readonly writable: WritableStream<Uint8Array> }

/** The duplex itself, or one over a pair of streams. @throws {@link VfioError} EBUSY when one is locked */
export function byteDuplex(duplex: DuplexLike): ByteDuplex {
  if (!('readable' in duplex)) return duplex
  return { ...webSource(duplex.readable), ...webSink(duplex.writable) }
}

/** The sink itself, or a sink over a WHATWG stream. @throws {@link VfioError} EBUSY when the stream is locked */
export function byteSink(sink: SinkLike): ByteSink {
  return 'getWriter' in sink ? webSink(sink) : sink
}

/** The source itself, or a source over a WHATWG stream. @throws {@link VfioError} EBUSY when the stream is locked */
export function byteSource(source: SourceLike): ByteSource {
  return 'getReader' in source ? webSource(source) : source
}

/**
 * A sink over a WHATWG stream, which gets owned chunks of at most 256 KiB. A write settles when the stream
 * wants more, so with the default strategy the stream holds one chunk beyond what it has finished.
 *
 * @throws {@link VfioError} EBUSY when the stream is locked
 */
export function webSink(stream: WritableStream<Uint8Array>): ByteSink {
  if (stream.locked) throw locked('write to')
  const writer = stream.getWriter()
  // Failures are told by `ready`, by the next write and by `close`; this one would be unhandled besides.
  writer.closed.catch(() => {})
  let over = false
  return {
    async open() {
      await writer.ready
    },
    async write(chunks) {
      for (const chunk of ownedChunks(chunks)) {
        await writer.ready
        writer.write(chunk).catch(() => {})
      }
      await writer.ready
    },
    async close() {
      await writer.close()
      over = true
    },
    async abort(reason) {
      if (over) return
      over = true
      await writer.abort(reason)
    },
  }
}

/**
 * A source over a WHATWG stream of byte chunks; holds at most one of them.
 *
 * Reading throws EINVAL when a chunk is no Uint8Array, else what the stream fails with.
 *
 * @throws {@link VfioError} EBUSY when the stream is locked
 */
export function webSource(stream: ReadableStream<Uint8Array>): ByteSource {
  if (stream.locked) throw locked('read from')
  const reader = stream.getReader()
  reader.closed.catch(() => {})
  let rest = new Uint8Array(0) as Uint8Array
  let over = false
  const take = (dst: Uint8Array): number => {
    const bytes = rest.subarray(0, dst.length)
    dst.set(bytes)
    rest = rest.subarray(bytes.length)
    return bytes.length
  }
  const next = async (dst: Uint8Array): Promise<number> => {
    while (rest.length === 0 && !over) {
      const { done, value } = await reader.read()
      if (done) over = true
      else if (value instanceof Uint8Array) rest = value
      else
        throw new VfioError('EINVAL', 'Cannot read: the stream has a chunk that is no Uint8Array, use bytes')
    }
    // A chunk that arrives after `cancel` is dropped: `dst` is no longer ours.
    return over ? 0 : take(dst)
  }
  return {
    read: (dst) => (rest.length > 0 ? take(dst) : next(dst)),
    async cancel(reason) {
      if (over) return
      over = true
      rest = new Uint8Array(0)
      await reader.cancel(reason)
    },
  }
}

function locked(action: string): VfioError {
  return new VfioError('EBUSY', `Cannot ${action} the stream: it is locked, release its reader or writer`)
}
