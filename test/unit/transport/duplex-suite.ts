/** What every byte duplex over messages must do, as one suite for all channels. @module */

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createBulk } from '../../../src/devices/index.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createEngine } from '../../../src/engine/index.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import type { ByteDuplex } from '../../../src/transport/index.ts'
import { codeOf, failureOf } from '../../support/pending.ts'

/** Makes two connected ends; messages of at most 1 MiB, 4 MiB in flight. */
export type MakePair = () => Promise<[ByteDuplex, ByteDuplex]>

const MIB = 1024 * 1024

/** Bytes that tell their place. */
export function pattern(byteLength: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length: byteLength }, (_, at) => (at * 31 + (at >> 8) + seed) & 0xff)
}

/** Reads to the end, `size()` bytes at once, by leases where `leases()` says so. */
export async function drain(
  duplex: ByteDuplex,
  size: () => number = () => 65_536,
  leases: () => boolean = () => false,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for (;;) {
    if (leases()) {
      const lease = await duplex.lease!(size())
      if (lease.length === 0) break
      parts.push(lease.slice())
      duplex.release!()
    } else {
      const dst = new Uint8Array(size())
      const byteLength = await duplex.read(dst)
      if (byteLength === 0) break
      parts.push(dst.subarray(0, byteLength))
    }
  }
  return Uint8Array.from(Buffer.concat(parts))
}

/** Both directions to their end, so that the channel is closed. */
export async function finish([here, there]: readonly [ByteDuplex, ByteDuplex]): Promise<void> {
  await Promise.all([here.close(), there.close(), drain(here), drain(there)])
}

/** Writes until a write has not settled after 50 ms. @returns bytes of the settled writes, and the pending one */
export async function writeUntilStalled(
  duplex: ByteDuplex,
  chunkBytes: number,
  maxBytes: number,
): Promise<{ written: number; pending: Promise<void> }> {
  for (let written = 0; ; written += chunkBytes) {
    if (written > maxBytes) throw new Error('the writer does not stall')
    const pending = Promise.resolve(duplex.write([new Uint8Array(chunkBytes)]))
    const stalled = new Promise<'stalled'>((resolve) => setTimeout(() => resolve('stalled'), 50))
    if ((await Promise.race([pending, stalled])) === 'stalled') return { written, pending }
  }
}

/** Writes a chunk and a short one for each length, and ends. */
async function send(duplex: ByteDuplex, lengths: readonly number[]): Promise<void> {
  for (const [at, length] of lengths.entries()) {
    const chunks = chunksOf(length, at)
    await duplex.write(chunks)
    for (const chunk of chunks) chunk.fill(0xee)
  }
  await duplex.close()
}

/** What `send` sends. */
function sum(lengths: readonly number[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(lengths.flatMap(chunksOf)))
}

function chunksOf(length: number, at: number): Uint8Array[] {
  return [pattern(length, at), pattern(length % 7, at)]
}

/** The suite. @param runs - of the property test */
export function duplexSuite(name: string, makePair: MakePair, runs = 20): void {
  describe(name, () => {
    it('brings all bytes over in order, both ways at once, however they are cut', async () => {
      const sizes = fc.array(fc.oneof(fc.nat(5), fc.nat(3000), fc.nat(300_000)), { maxLength: 12 })
      await fc.assert(
        fc.asyncProperty(
          sizes,
          sizes,
          fc.infiniteStream(fc.integer({ min: 1, max: 100_000 })),
          async (a, b, reads) => {
            const pair = await makePair()
            const size = (): number => reads.next().value ?? 1
            const [, , there, here] = await Promise.all([
              send(pair[0], a),
              send(pair[1], b),
              drain(pair[1], size, () => size() % 2 === 0),
              drain(pair[0], size),
            ])
            expect(Buffer.compare(there, sum(a))).toBe(0)
            expect(Buffer.compare(here, sum(b))).toBe(0)
          },
        ),
        { numRuns: runs },
      )
    })

    it('has at most 4 MiB in flight to a reader that stalls', async () => {
      const [here, there] = await makePair()
      const { written, pending } = await writeUntilStalled(here, 256 * 1024, 8 * MIB)
      expect(written).toBe(4 * MIB)
      const first = await there.read(new Uint8Array(MIB))
      expect(first).toBeGreaterThan(0)
      const rest = drain(there)
      await pending
      await here.close()
      expect(first + (await rest).length).toBe(written + 256 * 1024)
      await there.close()
      expect(await here.read(new Uint8Array(1))).toBe(0)
    })

    it('counts leases that are out as in flight', async () => {
      const [here, there] = await makePair()
      const leases: Uint8Array[] = []
      const leasing = (async () => {
        for (let bytes = 0; bytes < 4 * MIB; bytes += leases.at(-1)!.length)
          leases.push(await there.lease!(MIB))
      })()
      const { written, pending } = await writeUntilStalled(here, MIB, 8 * MIB)
      expect(written).toBe(4 * MIB)
      await leasing
      for (const _ of leases) there.release!()
      await pending
      await here.abort('enough')
    })

    it('abort settles the calls of both ends, with the reason at the other one', async () => {
      const [here, there] = await makePair()
      const { pending } = await writeUntilStalled(here, MIB, 8 * MIB)
      const writing = failureOf(() => pending)
      const reading = failureOf(() => here.read(new Uint8Array(1)))
      const cause = new Error('disk full')
      await here.abort(cause)
      expect(await writing).toMatchObject({ code: 'ECANCELED', cause })
      expect(await reading).toMatchObject({ code: 'ECANCELED', cause })
      const other = await failureOf(async () => {
        for (;;) await there.read(new Uint8Array(MIB))
      })
      expect(other.code).toBe('EPIPE')
      expect(other.message).toContain('disk full')
      expect(await codeOf(() => there.write([Uint8Array.of(1)]))).toBe('EPIPE')
      expect(await codeOf(() => there.close())).toBe('EPIPE')
    })

    it('abort at the other end settles a read and a write under way', async () => {
      const [here, there] = await makePair()
      const { pending } = await writeUntilStalled(here, MIB, 8 * MIB)
      const calls = [failureOf(() => pending), failureOf(() => here.read(new Uint8Array(1)))]
      await there.abort('no')
      expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(['EPIPE', 'EPIPE'])
      expect(await codeOf(() => there.write([]))).toBe('ECANCELED')
    })

    it('cancel gives up, too, and leaves leases as they are', async () => {
      const [here, there] = await makePair()
      await here.write([pattern(1000)])
      const lease = await there.lease!(1000)
      const { pending } = await writeUntilStalled(here, MIB, 8 * MIB)
      const writing = failureOf(() => pending)
      await there.cancel('not wanted')
      const failure = await writing
      expect([failure.code, failure.message.includes('not wanted')]).toEqual(['EPIPE', true])
      expect(Buffer.compare(lease, pattern(1000))).toBe(0)
      there.release!()
      expect(await codeOf(() => there.read(new Uint8Array(1)))).toBe('ECANCELED')
      expect(await codeOf(() => there.write([pattern(1)]))).toBe('ECANCELED')
    })

    it('close settles once all has arrived, read or not; more writes are EPIPE', async () => {
      const pair = await makePair()
      await pair[0].write([pattern(100)])
      await pair[0].close()
      expect(await codeOf(() => pair[0].write([Uint8Array.of(1)]))).toBe('EPIPE')
      await pair[0].abort('too late to matter')
      expect(await drain(pair[1])).toHaveLength(100)
      await finish(pair)
    })

    it('moves a device of 16 MiB by save() and restore()', async () => {
      const [here, there] = await makePair()
      const engine = await createEngine({ memoryBytes: 40 * MIB })
      const drivers = [
        createBulk({ memoryBytes: 16 * MIB, seed: 7, engine }),
        createBulk({ memoryBytes: 16 * MIB, seed: 7, engine }),
      ]
      const [source, target] = [await VfioDevice.open(drivers[0]!), await VfioDevice.open(drivers[1]!)]
      drivers[0]!.memory.write(5_000_000, pattern(100_000, 3))
      await Promise.all([save(source, here), restore(target, there)])
      const [wanted, found] = [new Uint8Array(16 * MIB), new Uint8Array(16 * MIB)]
      drivers[0]!.memory.read(0, wanted)
      drivers[1]!.memory.read(0, found)
      expect(Buffer.compare(found, wanted)).toBe(0)
      await finish([here, there])
      await Promise.all([source.close(), target.close()])
    })
  })
}
