/**
 * The engine's kernels against the platform: medians of interleaved rounds, ratio to Buffer.copy of the
 * same bytes in the same round. A first look; the targets and the rivals' table are issue 3's.
 *
 * Usage: npm run bench [-- MEBIBYTES]     (default 1; data is touched and kernels warm before it counts)
 */
import Benchmark from 'benchmark'
import { crc32c as nativeCrc32c } from '@node-rs/crc32'
import { createEngine } from 'stopcopy'

const ROUNDS = 5
const byteLength = Number(process.argv[2] ?? 1) * 1024 * 1024
const source = Buffer.alloc(byteLength, 0x5a)
const target = Buffer.alloc(byteLength, 1)

const cases = [{ name: 'Buffer.copy', run: () => source.copy(target) }]
for (const variant of ['simd', 'baseline', 'reference']) {
  const engine = await createEngine({ variant, memoryBytes: 2 * byteLength + 4096 })
  const [from, to, out] = [engine.allocate(byteLength), engine.allocate(byteLength), engine.allocate(8)]
  engine.bytes.fill(0x5a, from, from + byteLength)
  engine.bytes.fill(1, to, to + byteLength)
  const { kernels } = engine
  cases.push({ name: `copy ${variant}`, run: () => kernels.copy(to, from, byteLength) })
  cases.push({ name: `xxh3 ${variant}`, run: () => kernels.xxh3(from, byteLength, out) })
  cases.push({ name: `crc32c ${variant}`, run: () => kernels.crc32c(from, byteLength) })
}
cases.push({ name: 'crc32c @node-rs', run: () => nativeCrc32c(source) })

for (const each of cases) {
  each.rates = []
  each.run()
}
for (let round = 0; round < ROUNDS; round++) {
  process.stderr.write(`round ${round + 1} of ${ROUNDS}\n`)
  for (const each of cases) {
    const bench = new Benchmark(each.name, each.run, { maxTime: 0.1, minSamples: 5 }).run()
    each.rates.push((bench.hz * byteLength) / 1e9)
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const copies = cases[0].rates
console.log(`${byteLength} bytes, ${ROUNDS} rounds, node ${process.version}\n`)
console.log('| case | GB/s, median (range) | ÷ Buffer.copy |\n| --- | ---: | ---: |')
for (const { name, rates } of cases) {
  const range = `${Math.min(...rates).toFixed(2)} to ${Math.max(...rates).toFixed(2)}`
  const ratio = median(rates.map((rate, round) => rate / copies[round]))
  console.log(`| ${name} | ${median(rates).toFixed(2)} (${range}) | ${ratio.toFixed(3)} |`)
}
