/**
 * Dirty bitmap to runs: 1 GiB of 4 KiB pages, 262,144 bits.
 *
 * @module
 */
import { createEngine } from 'stopcopy'
import { createRandom, dirtyPages, findRuns, PAGE_BYTES, SEED } from '../data/dirty-pages.mjs'
import { GIB } from '../data/touched.mjs'
import { atLeast, leastOf } from '../harness/targets.mjs'

const PAGES = GIB / PAGE_BYTES
/** A run in engine memory is two u32; no bitmap has more runs than half its bits. */
const RUN_BYTES = 8
const MAX_RUNS = PAGES / 2
const COUNTED = ['random', 'clustered'].flatMap((kind) =>
  [1, 10, 50].map((percent) => ({ name: `${percent} % ${kind}`, share: percent / 100, kind })),
)
const PATTERNS = [...COUNTED, { name: '100 %', share: 1, kind: 'clustered' }]
const KERNEL = 'bitmapRuns'
const RIVALS = ['TypeScript clz32', "the engine's TypeScript twin"]

export const rounds = { full: 9, quick: 3 }
export const names = PATTERNS.flatMap(({ name }) => [KERNEL, ...RIVALS].map((way) => `${way}, ${name}`))

export async function open() {
  const room = PAGES / 8 + MAX_RUNS * RUN_BYTES
  const engines = [
    await createEngine({ memoryBytes: 2 * room }),
    await createEngine({ memoryBytes: 2 * room, variant: 'reference' }),
  ]
  const places = engines.map((engine) => {
    const { bytes, kernels } = engine
    const [bitmap, runs] = [engine.allocate(PAGES / 8), engine.allocate(MAX_RUNS * RUN_BYTES)]
    const place = { bytes, kernels, bitmap, runs }
    bytes.fill(1, place.runs, place.runs + MAX_RUNS * RUN_BYTES)
    return place
  })
  const found = new Uint32Array(MAX_RUNS * 2).fill(1)
  const counts = []
  const cases = PATTERNS.flatMap(({ name, share, kind }) => {
    const bitmap = dirtyPages(PAGES, share, kind, createRandom())
    const bits = new Uint8Array(bitmap.buffer)
    const run = ({ bytes, kernels, bitmap: at, runs }) => ({
      before: () => bytes.set(bits, at),
      loop: () => kernels.bitmapRuns(at, 0, PAGES, runs, MAX_RUNS),
    })
    const ways = [run(places[0]), { loop: () => findRuns(bitmap, found) }, run(places[1])]
    for (const { before, loop } of ways) {
      before?.()
      counts.push(loop())
    }
    if (new Set(counts.slice(-3)).size > 1)
      throw new Error(`${name}: ${counts.slice(-3).join(', ')} runs were found`)
    return [KERNEL, ...RIVALS].map((way, index) => ({
      name: `${way}, ${name}`,
      against: `${RIVALS[0]}, ${name}`,
      ...ways[index],
    }))
  })
  const runCounts = PATTERNS.map(({ name }, index) => `${name}: ${counts[index * 3].toLocaleString('en')}`)
  return {
    title: 'Bitmap to runs',
    notes: [
      `${PAGES.toLocaleString('en')} pages, seed ${SEED}. Runs found: ${runCounts.join(', ')}. Both TypeScript loops skip words of all zeros and all ones; the faster one counts.`,
    ],
    cases,
    targets: [
      {
        ...atLeast(
          2.5,
          '',
          '',
          'bitmap to runs / TypeScript clz32, the least of 1, 10, 50 % random and clustered',
        ),
        of: (figures) => leastOf(COUNTED.map((pattern) => ratioToBest(figures, pattern))),
      },
    ],
  }
}

/** How many times faster the kernel is than the faster of the TypeScript loops, on a pattern. */
function ratioToBest(figures, { name }) {
  return figures.ratioToBest(
    `${KERNEL}, ${name}`,
    RIVALS.map((rival) => `${rival}, ${name}`),
  )
}
