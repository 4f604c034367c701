/**
 * Every kernel in its three variants: with 128-bit vectors, without, and in plain TypeScript; beside what the
 * platform has for the job. Where a kernel did not beat these, it would not be there.
 *
 * @module
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { createEngine } from 'stopcopy'
import { PAGE_BYTES } from '../data/dirty-pages.mjs'
import { fastestHash } from '../data/rivals.mjs'
import { KIB, MIB, touch } from '../data/touched.mjs'

const VARIANTS = ['simd', 'baseline', 'reference']
const BYTES = MIB
const PAGES = BYTES / PAGE_BYTES
/** What the stream compresses at a time. */
const BLOCK_BYTES = 256 * KIB
const page = Buffer.alloc(PAGE_BYTES)

/**
 * The jobs: `run` on engine memory, and the platform's way over the same bytes where it has one. `a` and `b`
 * are equal; `zeros` is zero; `text` compresses; `out` and `table` are room for results, `clean` is a bitmap in
 * which no page ever becomes dirty.
 */
const JOBS = {
  xxh3: {
    run: ({ kernels, a, out }) => kernels.xxh3(a, BYTES, out),
    platform: ['@node-rs xxh64', ({ views }) => fastestHash(views.a)],
  },
  crc32c: { run: ({ kernels, a }) => kernels.crc32c(a, BYTES) },
  copyXxh3: { run: ({ kernels, a, c, out }) => kernels.copyXxh3(c, a, BYTES, out) },
  copyCrc32c: { run: ({ kernels, a, c }) => kernels.copyCrc32c(c, a, BYTES) },
  'zeroPages, all zero': {
    run: ({ kernels, zeros, out }) => kernels.zeroPages(zeros, BYTES, PAGE_BYTES, out),
    platform: [
      'Buffer.equals with a zero page',
      ({ views }) => eachPage(views.zeros, (at) => at.equals(page)),
    ],
  },
  'diffPages, equal': {
    run: ({ kernels, a, b, clean }) => kernels.diffPages(a, b, BYTES, PAGE_BYTES, clean),
    platform: [
      'Buffer.compare by page',
      ({ views: { a, b } }) => {
        for (let at = 0; at < BYTES; at += PAGE_BYTES) a.compare(b, at, at + PAGE_BYTES, at, at + PAGE_BYTES)
      },
    ],
  },
  hashPages: {
    run: ({ kernels, a, table }) => kernels.hashPages(a, BYTES, PAGE_BYTES, table),
    platform: ['@node-rs xxh64 by page', ({ views }) => eachPage(views.a, fastestHash)],
  },
  'changedPages, none': {
    run: ({ kernels, a, table, clean }) => kernels.changedPages(a, BYTES, PAGE_BYTES, table, clean),
  },
  lz4Compress: {
    run: ({ kernels, text, packed }) => kernels.lz4Compress(text, BLOCK_BYTES, packed, BLOCK_BYTES),
    platform: ['deflateRaw level 1', ({ views }) => deflateRawSync(views.text, { level: 1 })],
    bytes: BLOCK_BYTES,
  },
  lz4Decompress: {
    run: ({ kernels, packed, packedBytes, c }) => kernels.lz4Decompress(packed, packedBytes, c, BLOCK_BYTES),
    platform: ['inflateRaw', ({ deflated }) => inflateRawSync(deflated)],
    bytes: BLOCK_BYTES,
  },
}
const COPY = 'Buffer.copy'

export const rounds = { full: 5, quick: 1 }
export const names = [
  `${COPY}, 1 MiB`,
  ...Object.entries(JOBS).flatMap(([job, { platform }]) => [
    ...VARIANTS.map((variant) => `${job}, ${variant}`),
    ...(platform === undefined ? [] : [`${job}: ${platform[0]}`]),
  ]),
]

export async function open() {
  const places = []
  for (const variant of VARIANTS) places.push(place(await createEngine({ memoryBytes: 8 * MIB, variant })))
  const [{ views }] = places
  const cases = Object.entries(JOBS).flatMap(([job, { run, platform, bytes = BYTES }]) => [
    ...VARIANTS.map((variant, index) => ({
      name: `${job}, ${variant}`,
      bytes,
      loop: () => run(places[index]),
    })),
    ...(platform === undefined
      ? []
      : [{ name: `${job}: ${platform[0]}`, bytes, loop: () => platform[1](places[0]) }]),
  ])
  return {
    title: 'Kernels by variant',
    notes: [
      '1 MiB in the cache; LZ4 over a block of 256 KiB in which every other 64 bytes repeat. "reference" is plain TypeScript.',
    ],
    cases: [
      { name: names[0], bytes: BYTES, loop: () => views.a.copy(views.c) },
      ...cases.map((each) => ({ ...each, against: names[0] })),
    ],
    targets: [],
  }
}

/** The memory of one variant: all of them hold the same bytes. */
function place(engine) {
  const { bytes, kernels } = engine
  const at = Object.fromEntries(
    ['a', 'b', 'c', 'zeros', 'text', 'packed'].map((name) => [name, engine.allocate(BYTES, PAGE_BYTES)]),
  )
  const view = (name, length = BYTES) => Buffer.from(bytes.buffer, at[name], length)
  for (const name of ['a', 'b', 'c']) touch(view(name))
  const text = view('text', BLOCK_BYTES)
  touch(text)
  for (let line = 64; line < BLOCK_BYTES; line += 128) text.copyWithin(line, 0, 64)
  const table = engine.allocate(PAGES * 8)
  const out = engine.allocate(PAGES / 8)
  const clean = engine.allocate(PAGES / 8)
  kernels.hashPages(at.a, BYTES, PAGE_BYTES, table)
  const packedBytes = kernels.lz4Compress(at.text, BLOCK_BYTES, at.packed, BLOCK_BYTES)
  const views = { a: view('a'), b: view('b'), c: view('c'), zeros: view('zeros'), text }
  const deflated = deflateRawSync(text, { level: 1 })
  return { kernels, ...at, table, out, clean, packedBytes, views, deflated }
}

function eachPage(bytes, take) {
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) take(bytes.subarray(at, at + PAGE_BYTES))
}
