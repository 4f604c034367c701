import type { EventEmitter } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { nodeReadable } from '../../../src/node/node-readable.ts'
import { nodeWritable } from '../../../src/node/node-writable.ts'
import type { ByteSource } from '../../../src/transport/byte-stream.ts'
import { codeOf, turn } from '../../support/pending.ts'

function listenerCount(emitter: EventEmitter): number {
  return emitter.eventNames().reduce((total, name) => total + emitter.listenerCount(name), 0)
}

async function drain(source: ByteSource, readBytes = 7): Promise<number[]> {
  const bytes: number[] = []
  const dst = new Uint8Array(readBytes)
  for (let count; (count = await source.read(dst)) > 0;) bytes.push(...dst.subarray(0, count))
  return bytes
}

/** A writable whose writes finish when told to. */
function manualWritable(highWaterMark: number): { stream: Writable; taken: number[]; finish: () => void } {
  const taken: number[] = []
  const pending: (() => void)[] = []
  const stream = new Writable({
    highWaterMark,
    write(chunk: Uint8Array, _encoding, callback) {
      taken.push(...chunk)
      pending.push(callback)
    },
  })
  return { stream, taken, finish: () => pending.shift()?.() }
}

describe('nodeWritable', () => {
  it('waits for drain when the stream is full, and gives it chunks of its own', async () => {
    const { stream, taken, finish } = manualWritable(4)
    const sink = nodeWritable(stream)
    const chunk = Uint8Array.of(1, 2)
    await sink.write([chunk])
    chunk.fill(9)
    let settled = false
    const second = (async () => {
      await sink.write([Uint8Array.of(3), Uint8Array.of(4, 5)])
      settled = true
    })()
    await turn()
    expect(settled).toBe(false)
    finish()
    await turn()
    finish()
    await second
    expect(taken).toEqual([1, 2, 3, 4, 5])
  })

  it('close waits until the stream finished, and takes its listeners away', async () => {
    const { stream, finish } = manualWritable(100)
    const before = listenerCount(stream)
    const sink = nodeWritable(stream)
    await sink.write([Uint8Array.of(1)])
    let closed = false
    const closing = (async () => {
      await sink.close()
      closed = true
    })()
    await turn()
    expect(closed).toBe(false)
    finish()
    await closing
    await sink.abort(new Error('late'))
    expect(listenerCount(stream)).toBe(before)
  })

  it('closes a stream that forgets that it finished, as process.stdout does', async () => {
    const stream = new PassThrough()
    stream.resume()
    stream.once('finish', () => Object.defineProperty(stream, 'writableFinished', { value: false }))
    const sink = nodeWritable(stream)
    await sink.write([Uint8Array.of(1)])
    expect(await codeOf(() => sink.close())).toBe('ok')
  })

  it('adds no listeners per write', async () => {
    const stream = new PassThrough({ highWaterMark: 8 })
    stream.resume()
    const sink = nodeWritable(stream)
    const before = listenerCount(stream)
    for (let round = 0; round < 50; round++) await sink.write([new Uint8Array(100)])
    expect(listenerCount(stream)).toBe(before)
    await sink.close()
  })

  it('rejects with the errno the stream failed with: a write that waits, later ones and close', async () => {
    const refused = Object.assign(new Error('no space left'), {
      code: 'ENOSPC',
      errno: -28,
      syscall: 'write',
    })
    const stream = new Writable({
      highWaterMark: 1,
      write: (_chunk, _encoding, callback) => callback(refused),
    })
    const before = listenerCount(stream)
    const sink = nodeWritable(stream)
    await expect((async () => sink.write([Uint8Array.of(1)]))()).rejects.toMatchObject({
      code: 'ENOSPC',
      syscall: 'write',
      cause: refused,
    })
    expect(await codeOf(() => sink.write([Uint8Array.of(1)]))).toBe('ENOSPC')
    expect(await codeOf(() => sink.close())).toBe('ENOSPC')
    await sink.abort(new Error('given up'))
    expect(listenerCount(stream)).toBe(before)
  })

  it('rejects with EPIPE when the stream is closed before its end', async () => {
    const { stream } = manualWritable(1)
    const sink = nodeWritable(stream)
    const writing = codeOf(() => sink.write([Uint8Array.of(1)]))
    stream.destroy()
    expect(await writing).toBe('EPIPE')
    expect(await codeOf(() => sink.close())).toBe('EPIPE')
    expect(await codeOf(() => nodeWritable(stream).write([Uint8Array.of(1)]))).toBe('EPIPE')
  })

  it('abort destroys the stream, settles a write that waits, and raises no uncaught error', async () => {
    const { stream } = manualWritable(1)
    const before = listenerCount(stream)
    const sink = nodeWritable(stream)
    const reason = new Error('enough')
    const writing = codeOf(() => sink.write([Uint8Array.of(1)]))
    await sink.abort(reason)
    await sink.abort(reason)
    expect(await writing).toBe('EIO')
    expect(stream.destroyed).toBe(true)
    expect(stream.errored).toBe(reason)
    expect(listenerCount(stream)).toBe(before)
  })
})

describe('nodeReadable', () => {
  it('gives the bytes of a stream in any segmentation, and takes its listeners away', async () => {
    for (const readBytes of [1, 7, 100_000]) {
      const stream = Readable.from([Buffer.from([1, 2, 3]), Buffer.from(new Uint8Array(50).fill(4))])
      const before = listenerCount(stream)
      const source = nodeReadable(stream)
      expect(await drain(source, readBytes)).toEqual([1, 2, 3, ...new Uint8Array(50).fill(4)])
      expect(await source.read(new Uint8Array(1))).toBe(0)
      expect(listenerCount(stream)).toBe(before)
    }
  })

  it('pulls no more than the stream may hold', async () => {
    let produced = 0
    const stream = new Readable({
      highWaterMark: 1000,
      read() {
        produced += 500
        this.push(Buffer.alloc(500))
      },
    })
    const source = nodeReadable(stream)
    await source.read(new Uint8Array(10))
    await turn()
    expect(produced).toBeLessThanOrEqual(3000)
    await source.cancel(undefined)
  })

  it('rejects with the errno the stream failed with, and with EPIPE when it is closed before its end', async () => {
    const failing = new PassThrough()
    const before = listenerCount(failing)
    const source = nodeReadable(failing)
    const reading = codeOf(() => source.read(new Uint8Array(1)))
    failing.destroy(Object.assign(new Error('broken'), { code: 'EPIPE' }))
    expect(await reading).toBe('EPIPE')
    expect(await codeOf(() => source.read(new Uint8Array(1)))).toBe('EPIPE')
    expect(listenerCount(failing)).toBe(before)

    const closed = new PassThrough()
    const early = nodeReadable(closed)
    const waiting = codeOf(() => early.read(new Uint8Array(1)))
    closed.destroy()
    expect(await waiting).toBe('EPIPE')
    expect(await codeOf(() => nodeReadable(closed).read(new Uint8Array(1)))).toBe('EPIPE')
  })

  it('refuses a stream that gives text', async () => {
    const stream = Readable.from([Buffer.from('abc')], { objectMode: false })
    stream.setEncoding('utf8')
    expect(await codeOf(() => drain(nodeReadable(stream)))).toBe('EINVAL')
  })

  it('cancel destroys the stream and ends a read that waits', async () => {
    const stream = new PassThrough()
    const before = listenerCount(stream)
    const source = nodeReadable(stream)
    const dst = new Uint8Array(4)
    const reading = source.read(dst)
    const reason = new Error('enough')
    stream.write(Uint8Array.of(7))
    const canceling = source.cancel(reason)
    expect(await reading).toBe(0)
    await canceling
    await source.cancel(reason)
    expect(dst[0]).toBe(0)
    expect(stream.errored).toBe(reason)
    expect(listenerCount(stream)).toBe(before)
  })
})
