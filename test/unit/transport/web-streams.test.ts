import { describe, expect, it } from 'vitest'
import type { ByteSource } from '../../../src/transport/byte-stream.ts'
import { OWNED_CHUNK_BYTES, ownedChunks } from '../../../src/transport/owned-chunks.ts'
import { byteSink, byteSource } from '../../../src/transport/web-streams.ts'
import { outcome } from '../../support/vfio-error.ts'

async function drain(source: ByteSource, readBytes = 7): Promise<number[]> {
  const bytes: number[] = []
  const dst = new Uint8Array(readBytes)
  for (let count; (count = await source.read(dst)) > 0;) bytes.push(...dst.subarray(0, count))
  return bytes
}

describe('ownedChunks', () => {
  it('gathers chunks into arrays of at most OWNED_CHUNK_BYTES that share nothing with them', () => {
    const chunks = [new Uint8Array(10).fill(1), new Uint8Array(OWNED_CHUNK_BYTES).fill(2), new Uint8Array(0)]
    const owned = [...ownedChunks(chunks)]
    expect(owned.map(({ length }) => length)).toEqual([OWNED_CHUNK_BYTES, 10])
    for (const chunk of chunks) chunk.fill(9)
    expect([owned[0]?.[9], owned[0]?.[10], owned[1]?.[9]]).toEqual([1, 2, 2])
    expect([...ownedChunks([])]).toEqual([])
  })
})

describe('a sink over a WritableStream', () => {
  it('waits for the stream, so it holds one chunk beyond what the stream has finished', async () => {
    const started: number[] = []
    let finish!: () => void
    const sink = byteSink(
      new WritableStream<Uint8Array>({
        write: (chunk) => {
          started.push(chunk[0] as number)
          return new Promise((resolve) => {
            finish = resolve
          })
        },
      }),
    )
    await sink.open?.()
    let settled = 0
    const chunk = new Uint8Array(1)
    const write = (value: number): Promise<unknown> =>
      Promise.resolve(sink.write([chunk.fill(value)])).then(() => settled++)
    void write(1)
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect([started, settled]).toEqual([[1], 0])
    finish()
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(settled).toBe(1)
    const second = write(2)
    chunk.fill(9)
    await new Promise((resolve) => setTimeout(resolve, 0))
    finish()
    await second
    await sink.close()
    expect(started).toEqual([1, 2])
  })

  it('queues one chunk of a long write at a time', async () => {
    let queued = 0
    const size = (): number => {
      queued++
      return 1
    }
    const stuck = { write: () => new Promise<void>(() => {}) }
    const sink = byteSink(new WritableStream<Uint8Array>(stuck, { highWaterMark: 1, size }))
    void sink.write([new Uint8Array(3 * OWNED_CHUNK_BYTES)])
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(queued).toBe(1)
  })

  it('fails writes and close with the error of the stream', async () => {
    const refused = new Error('disk full')
    const make = () => byteSink(new WritableStream({ write: () => Promise.reject(refused) }))
    const sink = make()
    await expect((async () => sink.write([Uint8Array.of(1)]))()).rejects.toBe(refused)
    await expect((async () => sink.close())()).rejects.toBeDefined()
  })

  it('passes abort on with its reason, once, and not after close', async () => {
    const reasons: unknown[] = []
    const make = () => byteSink(new WritableStream({ abort: (reason) => void reasons.push(reason) }))
    const reason = new Error('gone')
    const sink = make()
    await sink.abort(reason)
    await sink.abort(reason)
    const closed = make()
    await closed.close()
    await closed.abort(reason)
    expect(reasons).toEqual([reason])
  })
})

describe('a source over a ReadableStream', () => {
  it('gives the chunks in any segmentation and passes over empty ones', async () => {
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Uint8Array.of(1, 2, 3))
        controller.enqueue(new Uint8Array(0))
        controller.enqueue(Uint8Array.from({ length: 20 }, (_, index) => index))
        controller.close()
      },
    })
    const source = byteSource(stream)
    expect(await drain(source)).toEqual([1, 2, 3, ...Array.from({ length: 20 }, (_, index) => index)])
    expect(await source.read(new Uint8Array(1))).toBe(0)
  })

  it('pulls only what it is asked for', async () => {
    let pulls = 0
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulls++
          controller.enqueue(new Uint8Array(4))
        },
      },
      { highWaterMark: 0 },
    )
    const source = byteSource(stream)
    await source.read(new Uint8Array(2))
    await source.read(new Uint8Array(2))
    expect(pulls).toBe(1)
    await source.cancel(undefined)
  })

  it('fails with the error of the stream, and with EINVAL for chunks that are no bytes', async () => {
    const refused = new Error('gone')
    const broken = byteSource(new ReadableStream({ pull: () => Promise.reject(refused) }))
    await expect(drain(broken)).rejects.toBe(refused)
    const text = new ReadableStream({ pull: (controller) => controller.enqueue('text') })
    await expect(drain(byteSource(text))).rejects.toMatchObject({ code: 'EINVAL' })
  })

  it('passes cancel on; a read under way ends, and its bytes are not written any more', async () => {
    const reasons: unknown[] = []
    let controller!: ReadableStreamDefaultController<Uint8Array>
    const source = byteSource(
      new ReadableStream<Uint8Array>({
        start: (given) => {
          controller = given
        },
        cancel: (reason) => void reasons.push(reason),
      }),
    )
    const dst = new Uint8Array(2)
    const reading = source.read(dst)
    // The chunk is on its way to the read when the cancel comes.
    controller.enqueue(Uint8Array.of(5, 5))
    const canceling = source.cancel('enough')
    expect(await reading).toBe(0)
    await canceling
    await source.cancel('again')
    expect([...dst]).toEqual([0, 0])
    expect(reasons).toEqual(['enough'])
  })
})

it('a stream that somebody else holds is EBUSY', () => {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  const source = byteSource(readable)
  const sink = byteSink(writable)
  expect(outcome(() => byteSource(readable))).toBe('EBUSY')
  expect(outcome(() => byteSink(writable))).toBe('EBUSY')
  expect([byteSource(source), byteSink(sink)]).toEqual([source, sink])
})
