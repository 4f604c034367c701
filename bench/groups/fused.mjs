/**
 * Copy and checksum in one pass, beside a copy followed by the fastest hash.
 *
 * @module
 */
import { openKernelData } from '../data/kernel-data.mjs'
import { fastestHash, rivals } from '../data/rivals.mjs'
import { formatBytes, KIB, MIB } from '../data/touched.mjs'
import { atLeast } from '../harness/targets.mjs'

const SIZES = [MIB, 64 * MIB]
const PIECE_BYTES = 256 * KIB
const COPY = 'M2'
const RIVAL = 'Buffer.copy + @node-rs xxh64'
const WAYS = [
  COPY,
  'copyXxh3',
  'copyCrc32c',
  RIVAL,
  `${RIVAL}, in 256 KiB pieces`,
  'Buffer.copy + @node-rs crc32c',
]

export const rounds = { full: 9, quick: 3 }
export const names = SIZES.flatMap((size) => WAYS.map((way) => nameOf(way, size)))

export async function open() {
  const { kernels, source, target, out, from, to } = await openKernelData(64 * MIB)
  const cases = SIZES.flatMap((size) => {
    const [buffer, into] = [from.subarray(0, size), to.subarray(0, size)]
    const loops = [
      () => buffer.copy(into),
      () => kernels.copyXxh3(target, source, size, out),
      () => kernels.copyCrc32c(target, source, size),
      () => {
        buffer.copy(into)
        fastestHash(into)
      },
      // The second pass finds the piece in the cache; a checksum of each, as frames have one.
      () => {
        for (let at = 0; at < size; at += PIECE_BYTES) {
          buffer.copy(into, at, at, at + PIECE_BYTES)
          fastestHash(into.subarray(at, at + PIECE_BYTES))
        }
      },
      () => {
        buffer.copy(into)
        rivals['@node-rs crc32c'].hash(into)
      },
    ]
    return WAYS.map((way, index) => ({
      name: nameOf(way, size),
      bytes: size,
      against: nameOf(COPY, size),
      loop: loops[index],
    }))
  })
  const mine = nameOf('copyXxh3', 64 * MIB)
  const theirs = [RIVAL, `${RIVAL}, in 256 KiB pieces`].map((way) => nameOf(way, 64 * MIB))
  return {
    title: 'Copy with checksum',
    notes: [
      'M2: one Buffer.copy between two touched buffers. The kernels copy from engine memory to engine memory.',
    ],
    cases,
    targets: [
      atLeast(0.9, mine, nameOf(COPY, 64 * MIB)),
      {
        ...atLeast(1.6, mine, RIVAL, `${mine} / ${RIVAL}, whole or in pieces, the faster`),
        of: (figures) => figures.ratioToBest(mine, theirs),
      },
    ],
  }
}

function nameOf(way, size) {
  return `${way}, ${formatBytes(size)}`
}
