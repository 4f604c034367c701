/** What `createEngine` makes of a host: the best variant it can run, and a reason for each that it cannot. */

import { createEngine, memoryPair, restore, save, VfioDevice, VfioError } from 'stopcopy'
import { createBulk } from 'stopcopy/devices'
import { expectBytes, expectSame, refusal } from './expect.mjs'
import { memoryOf, savedStream } from './round-trip-cases.mjs'

const MEMORY_BYTES = 300_003

/** Cases for a host that has `features` of host.mjs; `createWorker` of its own room, where it has one. */
export function engineCases(features, createWorker) {
  const best = !features.includes('wasm') ? 'reference' : features.includes('simd') ? 'simd' : 'baseline'
  const runs = { simd: best === 'simd', baseline: best !== 'reference', reference: true }
  const variants = Object.keys(runs).filter((variant) => runs[variant])
  const lacking = Object.keys(runs).filter((variant) => !runs[variant])
  const sharedModes = features.includes('shared') ? [false, true] : [false]
  return [
    {
      name: `the engine is the ${best} one by itself`,
      run: async () => expectSame((await createEngine({ memoryBytes: 65536 })).variant, best),
    },
    ...lacking.map((variant) => ({
      name: `the ${variant} engine says that it cannot run here`,
      run: async () => {
        const { code, message } = await refusal(createEngine({ variant }))
        expectSame(code, 'EOPNOTSUPP')
        expectSame(message.includes(`this host cannot run the ${variant} variant`), true)
      },
    })),
    {
      name: 'the engines that run here agree on the checksums of the same bytes',
      run: async () => {
        const sums = await Promise.all(
          sharedModes.flatMap((shared) =>
            variants.map(async (variant) =>
              checksums(await createEngine({ memoryBytes: 2 ** 18, variant, shared })),
            ),
          ),
        )
        for (const sum of sums) expectSame(sum, sums[0])
      },
    },
    {
      name: 'the engines that run here write the same stream, byte for byte',
      run: async () => {
        const first = await savedStream({ memoryBytes: MEMORY_BYTES, seed: 1 })
        for (const variant of variants) {
          const engine = await createEngine({ memoryBytes: 2 ** 21, variant })
          expectBytes(await savedStream({ memoryBytes: MEMORY_BYTES, seed: 1, engine }), first)
        }
      },
    },
    features.includes('shared')
      ? {
          name: 'a shared engine is shared',
          run: async () =>
            expectSame(
              (await createEngine({ memoryBytes: 65536, shared: true })).bytes.buffer.constructor,
              SharedArrayBuffer,
            ),
        }
      : {
          name: 'a shared engine says that this host has no SharedArrayBuffer',
          run: async () => {
            const { code, message } = await refusal(createEngine({ shared: true }))
            expectSame(code, 'EOPNOTSUPP')
            expectSame(message.includes('this host has no SharedArrayBuffer'), true)
          },
        },
    ...(createWorker === undefined ? [] : sharedModes).map((shared) => ({
      name: `a worker checksums for ${shared ? 'a shared' : 'an'} engine`,
      run: () => moveWithWorker(createWorker, shared),
    })),
  ]
}

function checksums(engine) {
  const { kernels, bytes } = engine
  const at = engine.allocate(100_001)
  const out = engine.allocate(8)
  let random = 1
  for (let i = 0; i < 100_001; i++) bytes[at + i] = random = (random * 48271) % 0x7fffffff
  kernels.xxh3(at, 100_001, out)
  return `${kernels.crc32c(at, 100_001)} ${bytes.subarray(out, out + 8).join()}`
}

async function moveWithWorker(createWorker, shared) {
  const engine = await createEngine({ memoryBytes: 2 ** 22, shared })
  const [from, to] = [{ seed: 7 }, {}].map((more) =>
    createBulk({ memoryBytes: MEMORY_BYTES, engine, ...more }),
  )
  const [source, destination] = [await VfioDevice.open(from), await VfioDevice.open(to)]
  const worker = await createWorker()
  const [here, there] = memoryPair()
  try {
    await Promise.all([save(source, here, { worker }), restore(destination, there, { worker })])
    expectBytes(memoryOf(to), memoryOf(from))
  } finally {
    await worker.close()
    await Promise.all([source.close(), destination.close()])
  }
}

/** That a page forbids WebAssembly is no lack of the host: it is told, and a variant without it runs. */
export async function checkForbiddenWasm() {
  const error = await refusal(createEngine())
  expectSame(VfioError.is(error, 'EPERM'), true)
  expectSame(error.message.includes("'wasm-unsafe-eval'"), true)
  expectSame((await createEngine({ variant: 'reference' })).variant, 'reference')
}
