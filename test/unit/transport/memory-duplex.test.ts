import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memoryPair } from '../../../src/transport/memory-duplex.ts'
import { outcome } from '../../support/vfio-error.ts'

async function settled(work: unknown): Promise<boolean> {
  let isSettled = false
  void Promise.resolve(work).then(
    () => (isSettled = true),
    () => (isSettled = true),
  )
  await new Promise((resolve) => setTimeout(resolve, 0))
  return isSettled
}

describe('memoryPair', () => {
  it('settles a write when the other end took all but highWaterMark bytes', async () => {
    const [here, there] = memoryPair({ highWaterMark: 4 })
    expect(here.write([Uint8Array.of(1, 2), Uint8Array.of(3, 4)])).toBe(undefined)
    const second = here.write([Uint8Array.of(5, 6, 7)])
    expect(await settled(second)).toBe(false)
    const dst = new Uint8Array(2)
    expect(there.read(dst)).toBe(2)
    expect(await settled(second)).toBe(false)
    expect(there.read(dst.subarray(0, 1))).toBe(1)
    await second
    const rest = new Uint8Array(10)
    expect(there.read(rest)).toBe(4)
    expect([...rest.subarray(0, 4)]).toEqual([4, 5, 6, 7])
  })

  it("leases the writer's own chunks, and settles its write when the last is released", async () => {
    const [here, there] = memoryPair({ highWaterMark: 100 })
    const waiting = there.lease!(10)
    const chunk = Uint8Array.of(1, 2, 3)
    const written = here.write([chunk, Uint8Array.of(4)])
    const first = await waiting
    expect(first.buffer).toBe(chunk.buffer)
    expect([...first]).toEqual([1, 2, 3])
    const second = there.lease!(10)
    expect([...(second as Uint8Array)]).toEqual([4])
    there.release!()
    expect(await settled(written)).toBe(false)
    there.release!()
    await written
    await here.close()
    expect(await there.lease!(10)).toHaveLength(0)
    expect(() => there.release!()).toThrow(/no lease is out/)
  })

  it('leases at most what was asked for, and the rest after it', async () => {
    const [here, there] = memoryPair({ highWaterMark: 0 })
    const written = here.write([Uint8Array.of(1, 2, 3)])
    expect([...(await there.lease!(2))]).toEqual([1, 2])
    const dst = new Uint8Array(5)
    expect(await there.read(dst)).toBe(1)
    expect(await settled(written)).toBe(false)
    there.release!()
    await written
    expect(() => there.lease!(0)).toThrow(/Cannot lease 0 bytes/)
  })

  it('lets chunks be reused once the write settled, and reads into a waiting read without a copy', async () => {
    const [here, there] = memoryPair()
    // A Buffer's own `slice` would not copy.
    const chunk = Buffer.from([1, 2, 3])
    await here.write([chunk])
    chunk.fill(9)
    const dst = new Uint8Array(3)
    await there.read(dst)
    expect([...dst]).toEqual([1, 2, 3])
    const waiting = there.read(dst)
    await here.write([Uint8Array.of(4)])
    expect(await waiting).toBe(1)
    expect(dst[0]).toBe(4)
  })

  it('with highWaterMark 0 settles a write only when all was taken', async () => {
    const [here, there] = memoryPair({ highWaterMark: 0 })
    const write = here.write([Uint8Array.of(1, 2)])
    await there.read(new Uint8Array(1))
    expect(await settled(write)).toBe(false)
    await there.read(new Uint8Array(1))
    await write
    expect(here.write([])).toBe(undefined)
  })

  it('ends after close, also for a read that waits', async () => {
    const [here, there] = memoryPair()
    await here.write([Uint8Array.of(1)])
    await here.close()
    expect(await there.read(new Uint8Array(4))).toBe(1)
    expect(await there.read(new Uint8Array(4))).toBe(0)
    expect(outcome(() => here.write([]))).toBe('EPIPE')
    const waiting = here.read(new Uint8Array(1))
    await there.close()
    expect(await waiting).toBe(0)
  })

  it('abort fails the reads of the other end with the reason, and drops what was not read', async () => {
    const [here, there] = memoryPair({ highWaterMark: 0 })
    const reason = new Error('gone')
    const write = here.write([Uint8Array.of(1)])
    const failing = expect(write).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
    await here.abort(reason)
    await failing
    await expect((async () => there.read(new Uint8Array(1)))()).rejects.toMatchObject({
      code: 'EPIPE',
      cause: reason,
    })
    const [near, far] = memoryPair()
    const waiting = far.read(new Uint8Array(1))
    const broken = expect(waiting).rejects.toMatchObject({ code: 'EPIPE', cause: reason })
    await near.abort(reason)
    await broken
  })

  it('abort after close changes nothing', async () => {
    const [here, there] = memoryPair()
    await here.write([Uint8Array.of(7)])
    await here.close()
    await here.abort(new Error('late'))
    expect(await there.read(new Uint8Array(1))).toBe(1)
    expect(await there.read(new Uint8Array(1))).toBe(0)
  })

  it('cancel fails the writes of the other end, and no late write lands in a canceled read', async () => {
    const [here, there] = memoryPair({ highWaterMark: 0 })
    const reason = new Error('full')
    const dst = new Uint8Array(1)
    const read = there.read(dst)
    const canceled = expect(read).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
    await there.cancel(reason)
    await canceled
    expect(outcome(() => here.write([Uint8Array.of(5)]))).toBe('EPIPE')
    expect(outcome(() => here.close())).toBe('EPIPE')
    expect(dst[0]).toBe(0)
  })

  it('goes both ways independently', async () => {
    const [here, there] = memoryPair()
    await there.cancel(new Error('one way only'))
    await there.write([Uint8Array.of(3)])
    expect(await here.read(new Uint8Array(1))).toBe(1)
  })

  it('refuses a second write or read while one is under way, and a high water mark that is no size', () => {
    const [here, there] = memoryPair({ highWaterMark: 0 })
    void here.write([Uint8Array.of(1)])
    expect(outcome(() => here.write([Uint8Array.of(2)]))).toBe('EBUSY')
    void here.read(new Uint8Array(1))
    expect(outcome(() => here.read(new Uint8Array(1)))).toBe('EBUSY')
    expect(there).toBeDefined()
    for (const highWaterMark of [-1, 1.5, NaN]) {
      expect(outcome(() => memoryPair({ highWaterMark }))).toBe('EINVAL')
    }
  })

  it('carries any bytes in any segmentation in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 4 }), { maxLength: 10 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 64 }),
        async (writes, readBytes, highWaterMark) => {
          const [here, there] = memoryPair({ highWaterMark })
          const send = async (): Promise<void> => {
            for (const chunks of writes) {
              await here.write(chunks)
              for (const chunk of chunks) chunk.fill(0xee)
            }
            await here.close()
          }
          const expected = writes.flat().flatMap((chunk) => [...chunk])
          const sending = send()
          const got: number[] = []
          const dst = new Uint8Array(readBytes)
          for (let count; (count = await there.read(dst)) > 0;) got.push(...dst.subarray(0, count))
          await sending
          expect(got).toEqual(expected)
        },
      ),
    )
  })
})
