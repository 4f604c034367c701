/**
 * What the compiled kernels add to a program that imports them.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import { KIB } from '../data/touched.mjs'

const NAME = 'wasm size'
const INLINED = ['SIMD_WASM', 'BASELINE_WASM']
const SHARED = ['SIMD_SHARED_WASM', 'BASELINE_SHARED_WASM']
/** The modules of base64 text that the build makes, by what they hold. */
const FILES = ['wasm', 'wasm-simd-shared', 'wasm-baseline-shared']

export const rounds = { full: 1, quick: 1 }
export const names = [NAME, 'wasm size, inlined', ...SHARED.map((name) => `wasm size, ${name}`)]

export async function open() {
  const texts = new Map(
    FILES.flatMap((file) => {
      const code = readFileSync(new URL(`../../dist/engine/generated/${file}.js`, import.meta.url), 'utf8')
      return [...code.matchAll(/export const (\w+) =\s*'([^']*)'/g)].map((match) => [match[1], match[2]])
    }),
  )
  const binaryBytes = (name) => Buffer.from(texts.get(name), 'base64').length
  const bytesOf = [
    [names[1], INLINED.reduce((total, name) => total + texts.get(name).length, 0)],
    ...SHARED.map((name) => [`wasm size, ${name}`, texts.get(name).length]),
  ]
  return {
    title: 'WASM size',
    notes: [
      'The two plain builds are inlined in the package; a shared one is a module that is loaded only when asked for. The targets are on the base64 text, a third more than the binary.',
    ],
    cases: [
      {
        name: NAME,
        measure: async () => ({
          values: [],
          table: {
            header: ['build', 'binary, KiB', 'as base64, KiB'],
            rows: [...texts].map(([name, text]) => [name, kib(binaryBytes(name)), kib(text.length)]),
          },
        }),
      },
      ...bytesOf.map(([name, bytes]) => ({ name, measure: async () => ({ values: [bytes / KIB] }) })),
    ],
    targets: bytesOf.map(([name], index) => ({
      name: index === 0 ? 'WASM, simd + baseline, inlined' : `WASM, ${SHARED[index - 1]}`,
      asked: index === 0 ? 80 : 45,
      sense: 'under',
      unit: 'KiB',
      of: (figures) => figures.values(name),
    })),
  }
}

function kib(bytes) {
  return (bytes / KIB).toFixed(1)
}
