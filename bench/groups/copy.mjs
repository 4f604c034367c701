/**
 * Plain copies: what memory.copy and the platform do with the same bytes.
 *
 * @module
 */
import { createEngine } from 'stopcopy'
import { formatBytes, KIB, MIB, touch, touchedBuffer } from '../data/touched.mjs'

const SIZES = [64 * KIB, MIB, 64 * MIB]
const WAYS = [
  'Buffer.copy',
  'Uint8Array.set',
  'kernel copy',
  'Buffer into the engine',
  'engine into a Buffer',
]

export const rounds = { full: 7, quick: 2 }
export const names = SIZES.flatMap((size) => WAYS.map((way) => `${way}, ${formatBytes(size)}`))

export async function open() {
  const largest = Math.max(...SIZES)
  const engine = await createEngine({ memoryBytes: 2 * largest + MIB })
  const [at, to] = [engine.allocate(largest, 4096), engine.allocate(largest, 4096)]
  touch(engine.bytes.subarray(at, to + largest))
  const [from, into] = [touchedBuffer(largest), touchedBuffer(largest)]
  const { bytes, kernels } = engine
  const cases = SIZES.flatMap((size) => {
    const [source, target] = [from.subarray(0, size), into.subarray(0, size)]
    const inside = bytes.subarray(at, at + size)
    const loops = [
      () => source.copy(target),
      () => target.set(source),
      () => kernels.copy(to, at, size),
      () => inside.set(source),
      () => target.set(inside),
    ]
    return WAYS.map((way, index) => ({
      name: `${way}, ${formatBytes(size)}`,
      bytes: size,
      against: `${WAYS[0]}, ${formatBytes(size)}`,
      loop: loops[index],
    }))
  })
  return {
    title: 'Copies',
    notes: ["memory.copy is the platform's memmove: WebAssembly reaches it and never beats it by itself."],
    cases,
    targets: [],
  }
}
