/** The comparison is fair: rivals compute what they are compared with, on the same data. */

import { describe, expect, it } from 'vitest'
import { createRandom, dirtyPages, findRuns } from '../../bench/data/dirty-pages.mjs'
import { openKernelData } from '../../bench/data/kernel-data.mjs'
import { createRecords } from '../../bench/data/records.mjs'
import { rivals } from '../../bench/data/rivals.mjs'
import { serialisers } from '../../bench/data/serialisers.mjs'

const BYTES = 1024 * 1024

/** The value a rival returned, whatever its form. */
function number(value: unknown): bigint {
  if (value instanceof Uint8Array) return Buffer.from(value).readBigUInt64BE()
  return BigInt(value as bigint | number)
}

describe('rivals', () => {
  it.each(['hash-wasm xxh3', '@node-rs xxh3'] as const)('%s is the kernel’s XXH3-64', async (name) => {
    const { kernels, source, out, from, result, xxh3Staged } = await openKernelData(BYTES)
    kernels.xxh3(source, BYTES, out)
    expect(number(rivals[name].hash(from))).toBe(result())
    xxh3Staged(from)
    expect(number(rivals[name].hash(from))).toBe(result())
  })

  it('@node-rs crc32c is the kernel’s CRC-32C, staged or not', async () => {
    const { kernels, source, from, crc32cStaged } = await openKernelData(BYTES)
    const theirs = rivals['@node-rs crc32c'].hash(from)
    expect([kernels.crc32c(source, BYTES), crc32cStaged(from)]).toEqual([theirs, theirs])
  })

  it('@node-rs xxh64 and xxhash-wasm agree, and zlib has the CRC-32 of gzip', async () => {
    const { from } = await openKernelData(BYTES)
    expect(rivals['@node-rs xxh64'].hash(from)).toBe(rivals['xxhash-wasm h64Raw'].hash(from))
    expect(rivals['zlib crc32'].hash(Buffer.from('123456789'))).toBe(0xcbf43926)
  })
})

describe('serialisers', () => {
  it.each(Object.entries(serialisers))('%s brings back what it saved', (_, { save, load }) => {
    const records: object[] = createRecords(20)
    const loaded: object[] = load(Uint8Array.from(save(records)), createRecords(20))
    // By name: protobufjs leaves a field of zero to the prototype.
    for (const name of Object.keys(records[0] as object)) {
      const values = (list: object[]) =>
        list.map((record) => {
          const value: number | Iterable<number> = Reflect.get(record, name)
          return typeof value === 'number' ? value : [...value]
        })
      expect(values(loaded), name).toEqual(values(records))
    }
  })
})

describe('dirtyPages', () => {
  it.each(['clustered', 'random'] as const)('sets exactly the share asked for, %s, from the seed', (kind) => {
    const bitmap = dirtyPages(4096, 0.1, kind, createRandom())
    const isSet = Array.from(
      { length: 4096 },
      (_, page) => ((bitmap[page >>> 5] as number) >>> (page & 31)) & 1,
    )
    expect(isSet.reduce((total, bit) => total + bit, 0)).toBe(409)
    expect(dirtyPages(4096, 0.1, kind, createRandom())).toEqual(bitmap)
  })

  it.each([0, 0.01, 0.5, 1])('findRuns finds the runs of %d of the pages', (share) => {
    const bitmap = dirtyPages(4096, share, 'random', createRandom())
    const naive: number[] = []
    for (let page = 0, first = -1; page <= 4096; page++) {
      const set = page < 4096 && (((bitmap[page >>> 5] as number) >>> (page & 31)) & 1) === 1
      if (set && first < 0) first = page
      if (set || first < 0) continue
      naive.push(first, page - first)
      first = -1
    }
    const runs = new Uint32Array(8192)
    expect([...runs.subarray(0, 2 * findRuns(bitmap, runs))]).toEqual(naive)
  })
})
