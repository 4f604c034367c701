/**
 * XXH3-64 and CRC-32C of data in engine memory, beside the rivals over the same data in a JS Buffer.
 *
 * @module
 */
import { openKernelData } from '../data/kernel-data.mjs'
import { rivals } from '../data/rivals.mjs'
import { formatBytes, KIB, MIB } from '../data/touched.mjs'
import { atLeast } from '../harness/targets.mjs'

const COPY = 'Buffer.copy'
const XXH3_SIZES = [MIB, 64 * MIB]
const XXH3_WAYS = [
  'xxh3',
  'xxh3 staged',
  'hash-wasm xxh3',
  '@node-rs xxh3',
  '@node-rs xxh64',
  'xxhash-wasm h64Raw',
]
const CRC_WAYS = ['crc32c', 'crc32c staged', '@node-rs crc32c', 'zlib crc32']
const SIZES = [64 * KIB, 256 * KIB, MIB, 64 * MIB]
const plan = SIZES.map((size) => ({
  size,
  ways: [COPY, ...(XXH3_SIZES.includes(size) ? XXH3_WAYS : []), ...CRC_WAYS],
}))

export const rounds = { full: 9, quick: 1 }
export const names = plan.flatMap(({ size, ways }) => ways.map((way) => nameOf(way, size)))

export async function open() {
  const data = await openKernelData(64 * MIB)
  const { kernels, source, out } = data
  const cases = plan.flatMap(({ size, ways }) => {
    const buffer = data.from.subarray(0, size)
    const ours = {
      [COPY]: () => buffer.copy(data.to),
      xxh3: () => kernels.xxh3(source, size, out),
      'xxh3 staged': () => data.xxh3Staged(buffer),
      crc32c: () => kernels.crc32c(source, size),
      'crc32c staged': () => data.crc32cStaged(buffer),
    }
    return ways.map((way) => {
      const loop = way in ours ? ours[way] : () => rivals[way].hash(buffer)
      const name = nameOf(way, size)
      return {
        name,
        bytes: size,
        against: nameOf(COPY, size),
        loop,
      }
    })
  })
  return {
    title: 'Checksums',
    notes: [
      'The kernels read engine memory; "staged" brings a JS Buffer into it first, 256 KiB at a time. The rivals read a JS Buffer. xxh64 and CRC-32 are other algorithms of the same use, without a kernel here.',
    ],
    cases,
    targets: [
      ...XXH3_SIZES.map((size) => target(2.5, 'xxh3', 'hash-wasm xxh3', size)),
      ...XXH3_SIZES.map((size) => target(1.05, 'xxh3', '@node-rs xxh64', size)),
      target(2.2, 'crc32c', '@node-rs crc32c', 64 * KIB),
      target(3, 'crc32c', '@node-rs crc32c', 256 * KIB),
      target(3, 'crc32c', '@node-rs crc32c', MIB),
    ],
  }
}

/** How many times the rate of a rival a kernel has at a size. */
function target(asked, mine, rival, size) {
  return atLeast(asked, nameOf(mine, size), nameOf(rival, size))
}

function nameOf(way, size) {
  return `${way}, ${formatBytes(size)}`
}
