import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { BASELINE_SHARED_WASM } from '../../src/engine/generated/wasm-baseline-shared.ts'
import { SIMD_SHARED_WASM } from '../../src/engine/generated/wasm-simd-shared.ts'
import { BASELINE_WASM, SIMD_WASM } from '../../src/engine/generated/wasm.ts'
import {
  DEFAULT_MEMORY_BYTES,
  MAX_MEMORY_BYTES,
  createEngine,
  crc32cOfBytes,
  defaultEngine,
  xxh3OfBytes,
} from '../../src/engine/index.ts'
import type { EngineVariant } from '../../src/engine/index.ts'
import { VfioError } from '../../src/errors.ts'
import { noise } from './kernels/fixture.ts'

const GIB = 2 ** 30
const MIB = 2 ** 20
const VARIANTS: readonly EngineVariant[] = ['simd', 'baseline', 'reference']

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error === undefined) return undefined
  return VfioError.is(error) ? error.code : `not a VfioError: ${(error as Error).message}`
}

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
  vi.resetModules()
})

describe('createEngine', () => {
  test('takes SIMD and 32 MiB where nothing else is asked', async () => {
    const engine = await createEngine()
    expect(engine.variant).toBe('simd')
    expect(engine.memoryBytes).toBe(DEFAULT_MEMORY_BYTES)
    expect(engine.memoryBytes).toBe(32 * MIB)
    expect(engine.allocatedBytes).toBe(0)
  })

  test.each(VARIANTS)('%s: all of memoryBytes can be allocated, scratch is on top', async (variant) => {
    for (const memoryBytes of [0, 1, 65_535, 65_536, 100_001]) {
      const engine = await createEngine({ variant, memoryBytes })
      expect(engine.variant).toBe(variant)
      const pointer = engine.allocate(memoryBytes, 65_536)
      expect(engine.allocatedBytes).toBe(memoryBytes)
      expect(pointer + memoryBytes).toBeLessThanOrEqual(engine.bytes.length)
      expect(() => engine.allocate(1, 1)).toThrow(/Cannot allocate 1 bytes: 0 of/)
      engine.free(pointer)
      expect(engine.allocatedBytes).toBe(0)
    }
  })

  test.each(VARIANTS)('%s: 3 GiB open and allocated cost no physical memory', async (variant) => {
    await createEngine({ variant, memoryBytes: 0 })
    const before = process.memoryUsage.rss()
    const engine = await createEngine({ variant, memoryBytes: 3 * GIB })
    const pointer = engine.allocate(3 * GIB, 4096)
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MIB)
    engine.bytes[pointer + 3 * GIB - 1] = 1
    expect(engine.kernels.crc32c(pointer + 3 * GIB - 4, 4)).toBe(crc32cOfBytes(Uint8Array.of(0, 0, 0, 1)))
  })

  test.each(VARIANTS)('%s: kernels work up to the last byte of the largest engine', async (variant) => {
    const engine = await createEngine({ variant, memoryBytes: MAX_MEMORY_BYTES })
    expect(engine.memoryBytes).toBe(4 * GIB - 65_536)
    expect(engine.bytes.length).toBe(4 * GIB)
    const sample = noise(2000)
    const src = engine.bytes.length - sample.length
    engine.bytes.set(sample, src)
    engine.kernels.copy(src - 3000, src, 2000)
    const out = engine.allocate(8)
    engine.kernels.xxh3(src - 3000, 2000, out)
    expect(new DataView(engine.bytes.buffer).getBigUint64(out, true)).toBe(xxh3OfBytes(sample))
    expect(engine.kernels.crc32c(src, 2000)).toBe(crc32cOfBytes(sample))
    expect(engine.kernels.zeroPages(src - 1000, 3000, 500, out)).toBe(2)
    expect(() => engine.kernels.crc32c(src, 2001)).toThrow(/Cannot checksum/)
  })

  test('a size that is no whole number is EINVAL, one that no memory has is ENOMEM', async () => {
    for (const memoryBytes of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await codeOf(createEngine({ memoryBytes }))).toBe('EINVAL')
    }
    expect(await codeOf(createEngine({ memoryBytes: MAX_MEMORY_BYTES + 1 }))).toBe('ENOMEM')
    expect(await codeOf(createEngine({ memoryBytes: 2 ** 50, variant: 'reference' }))).toBe('ENOMEM')
  })

  test('a host that has no memory left is ENOMEM with the host in the cause', async () => {
    vi.spyOn(WebAssembly, 'Memory').mockImplementation(function refuse() {
      throw new RangeError('could not allocate memory')
    })
    const error: unknown = await createEngine({ variant: 'simd' }).catch((thrown: unknown) => thrown)
    expect(VfioError.is(error, 'ENOMEM')).toBe(true)
    expect((error as Error).cause).toBeInstanceOf(RangeError)
  })

  test.each(VARIANTS)('%s: shared memory is one other threads can have', async (variant) => {
    const engine = await createEngine({ variant, shared: true, memoryBytes: 100_000 })
    expect(engine.shared).toBe(true)
    expect(engine.variant).toBe(variant)
    expect(engine.bytes.buffer).toBeInstanceOf(SharedArrayBuffer)
    const { share } = engine
    expect(share).toMatchObject({ variant })
    const { memory } = structuredClone(share) as { memory: WebAssembly.Memory | SharedArrayBuffer }
    const buffer = memory instanceof SharedArrayBuffer ? memory : memory.buffer
    const pointer = engine.allocate(100_000)
    engine.bytes[pointer] = 0x5a
    expect(new Uint8Array(buffer)[pointer]).toBe(0x5a)
    expect(buffer.byteLength).toBe(engine.bytes.length)
  })

  test('memory is not shared where nobody asked', async () => {
    const engine = await createEngine({ memoryBytes: 10 })
    expect(engine.shared).toBe(false)
    expect(engine.share).toBeUndefined()
    expect(engine.bytes.buffer).toBeInstanceOf(ArrayBuffer)
  })

  test.each([undefined, 'reference'] as const)(
    'shared is EOPNOTSUPP without SharedArrayBuffer (variant %s)',
    async (variant) => {
      vi.stubGlobal('SharedArrayBuffer', undefined)
      const error: unknown = await createEngine({
        shared: true,
        ...(variant === undefined ? {} : { variant }),
      }).catch((thrown: unknown) => thrown)
      expect(VfioError.is(error, 'EOPNOTSUPP')).toBe(true)
      expect((error as Error).message).toContain('cross-origin isolated')
      expect((await createEngine({ memoryBytes: 10 })).shared).toBe(false)
    },
  )

  test('shared is EOPNOTSUPP without WebAssembly threads', async () => {
    vi.resetModules()
    const fresh = await import('../../src/engine/create-engine.ts')
    expect((await fresh.createEngine({ memoryBytes: 10 })).variant).toBe('simd')
    vi.spyOn(WebAssembly, 'validate').mockReturnValue(false)
    expect(await codeOf(fresh.createEngine({ shared: true }))).toBe('EOPNOTSUPP')
  })

  test('a module and a memory of different kinds are EINVAL', async () => {
    const plain = await WebAssembly.compile(Buffer.from(SIMD_WASM, 'base64'))
    const shared = await WebAssembly.compile(Buffer.from(SIMD_SHARED_WASM, 'base64'))
    expect((await createEngine({ module: shared, shared: true })).shared).toBe(true)
    expect(await codeOf(createEngine({ module: shared }))).toBe('EINVAL')
    expect(await codeOf(createEngine({ module: plain, shared: true }))).toBe('EINVAL')
  })

  test('a compiled module is used and says which variant it is', async () => {
    const simd = await WebAssembly.compile(Buffer.from(SIMD_WASM, 'base64'))
    const baseline = await WebAssembly.compile(Buffer.from(BASELINE_WASM, 'base64'))
    expect((await createEngine({ module: simd })).variant).toBe('simd')
    expect((await createEngine({ module: baseline })).variant).toBe('baseline')
    expect((await createEngine({ module: baseline, variant: 'baseline' })).variant).toBe('baseline')
    expect(await codeOf(createEngine({ module: baseline, variant: 'simd' }))).toBe('EINVAL')
    expect(await codeOf(createEngine({ module: simd, variant: 'reference' }))).toBe('EINVAL')
  })

  test('a module that is not ours is EINVAL', async () => {
    const empty = await WebAssembly.compile(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))
    expect(await codeOf(createEngine({ module: empty }))).toBe('EINVAL')
  })

  test('build/simd.wasm is what is inlined, and each shared build is less than 45 KiB', async () => {
    for (const build of [SIMD_SHARED_WASM, BASELINE_SHARED_WASM])
      expect(Buffer.from(build, 'base64').length).toBeLessThan(45 * 1024)
    expect((await readFile('build/simd.wasm')).toString('base64')).toBe(SIMD_WASM)
  })

  test('a host without SIMD gets the baseline, and EOPNOTSUPP where it insists', async () => {
    vi.spyOn(WebAssembly, 'validate').mockReturnValue(false)
    vi.resetModules()
    const fresh = await import('../../src/engine/create-engine.ts')
    expect((await fresh.createEngine()).variant).toBe('baseline')
    expect(await codeOf(fresh.createEngine({ variant: 'simd' }))).toBe('EOPNOTSUPP')
  })

  test('a host without WebAssembly gets the reference, and EOPNOTSUPP where it insists', async () => {
    vi.stubGlobal('WebAssembly', undefined)
    vi.resetModules()
    const fresh = await import('../../src/engine/create-engine.ts')
    expect((await fresh.createEngine({ memoryBytes: 10 })).variant).toBe('reference')
    expect(await codeOf(fresh.createEngine({ variant: 'baseline' }))).toBe('EOPNOTSUPP')
  })

  test.each([false, true])(
    'a host that forbids WebAssembly is EPERM until it allows it, shared: %s',
    async (shared) => {
      vi.resetModules()
      const fresh = await import('../../src/engine/create-engine.ts')
      const compile = vi.spyOn(WebAssembly, 'compile').mockRejectedValue(new WebAssembly.CompileError('CSP'))
      await expect(fresh.createEngine({ shared })).rejects.toMatchObject({
        code: 'EPERM',
        message: expect.stringContaining("'wasm-unsafe-eval'") as string,
        cause: expect.any(WebAssembly.CompileError) as Error,
      })
      expect((await fresh.createEngine({ variant: 'reference' })).variant).toBe('reference')
      compile.mockRestore()
      expect((await fresh.createEngine({ shared })).variant).toBe('simd')
    },
  )
})

describe('defaultEngine', () => {
  test('is one engine, also for concurrent first calls', async () => {
    const [first, second] = await Promise.all([defaultEngine(), defaultEngine()])
    expect(first).toBe(second)
    expect(await defaultEngine()).toBe(first)
    expect(first.memoryBytes).toBe(DEFAULT_MEMORY_BYTES)
  })

  test('a failed first call is tried again', async () => {
    vi.resetModules()
    const fresh = await import('../../src/engine/default-engine.ts')
    const memory = vi.spyOn(WebAssembly, 'Memory').mockImplementation(function refuse() {
      throw new RangeError('could not allocate memory')
    })
    expect(await codeOf(fresh.defaultEngine())).toBe('ENOMEM')
    memory.mockRestore()
    expect((await fresh.defaultEngine()).variant).toBe('simd')
  })
})

describe('checksums of byte arrays', () => {
  test('equal the published constants', () => {
    expect(xxh3OfBytes(new Uint8Array(0))).toBe(0x2d06800538d394c2n)
    expect(crc32cOfBytes(new TextEncoder().encode('123456789'))).toBe(0xe3069283)
  })

  test('see the view of an array, not its buffer, and continue from a previous value', async () => {
    const sample = noise(700)
    const inside = new Uint8Array(1000)
    inside.set(sample, 37)
    const view = inside.subarray(37, 737)
    const engine = await createEngine({ memoryBytes: 1000 })
    const src = engine.allocate(700)
    engine.bytes.set(sample, src)
    const out = engine.allocate(8)
    engine.kernels.xxh3(src, 700, out)
    expect(xxh3OfBytes(view)).toBe(new DataView(engine.bytes.buffer).getBigUint64(out, true))
    expect(crc32cOfBytes(view.subarray(300), crc32cOfBytes(view.subarray(0, 300)))).toBe(
      engine.kernels.crc32c(src, 700),
    )
  })
})
