/**
 * Throughput by size, 4 KiB to 64 MiB: what the plot shows.
 *
 * @module
 */
import { openKernelData } from '../data/kernel-data.mjs'
import { fastestHash, rivals } from '../data/rivals.mjs'
import { formatBytes, KIB } from '../data/touched.mjs'

/** Each four times the one before. */
const SIZES = Array.from({ length: 8 }, (_, step) => 4 * KIB * 4 ** step)
const COPY = 'Buffer.copy'
const COPY_AND_HASH = 'Buffer.copy + @node-rs xxh64'

/** The plot's panels: what is compared with what. The first of each is ours. */
export const panels = [
  {
    title: 'XXH3-64',
    ways: ['xxh3', '@node-rs xxh64', 'xxhash-wasm h64Raw', 'hash-wasm xxh3', '@node-rs xxh3'],
  },
  { title: 'CRC-32C', ways: ['crc32c', '@node-rs crc32c', 'zlib crc32'] },
  { title: 'Copy + XXH3-64', ways: ['copyXxh3', COPY_AND_HASH] },
]
/** What every panel shows for scale. */
export const reference = COPY
const WAYS = [COPY, ...panels.flatMap(({ ways }) => ways)]

export const rounds = { full: 7, quick: 1 }
export const names = SIZES.flatMap((size) => WAYS.map((way) => `${way}, ${formatBytes(size)}`))

export async function open() {
  const { kernels, source, target, out, from, to } = await openKernelData(SIZES.at(-1))
  return {
    title: 'Throughput by size',
    notes: [
      'The kernels work on engine memory, the rivals on a JS Buffer; the plot is of these figures. Buffer.copy takes 4 KiB to 64 MiB from caches to DRAM, as the hashes do.',
    ],
    cases: SIZES.flatMap((size) => {
      const [buffer, into] = [from.subarray(0, size), to.subarray(0, size)]
      const loops = {
        [COPY]: () => buffer.copy(into),
        xxh3: () => kernels.xxh3(source, size, out),
        crc32c: () => kernels.crc32c(source, size),
        copyXxh3: () => kernels.copyXxh3(target, source, size, out),
        [COPY_AND_HASH]: () => {
          buffer.copy(into)
          fastestHash(into)
        },
      }
      return WAYS.map((way) => {
        const loop = way in loops ? loops[way] : () => rivals[way].hash(buffer)
        return {
          name: `${way}, ${formatBytes(size)}`,
          bytes: size,
          against: `${COPY}, ${formatBytes(size)}`,
          loop,
        }
      })
    }),
    targets: [],
  }
}
