/**
 * Creates an engine: its memory, its kernels, its allocator.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { createAllocator } from './allocator.ts'
import { SCRATCH_BYTES, createKernels } from './create-kernels.ts'
import type { Engine, EngineVariant } from './engine.ts'
import type { KernelAbi } from './kernel-abi.ts'
import { WASM_PAGE_BYTES, bestWasmVariant, loadKernels, wasmModule } from './load.ts'
import { createReferenceKernels } from './reference/kernels.ts'

/** `memoryBytes` of an engine whose options name none: 32 MiB. */
export const DEFAULT_MEMORY_BYTES: number = 32 * 1024 * 1024

/** The most `memoryBytes` an engine can have: 4 GiB less 64 KiB, the page of the kernels' scratch. */
export const MAX_MEMORY_BYTES: number = 2 ** 32 - SCRATCH_BYTES

/** Options of {@link createEngine}. */
export interface EngineOptions {
  /** Bytes that devices can allocate in all; default 32 MiB. The kernels' scratch comes on top. */
  memoryBytes?: number
  /** Default: the fastest this host can run. */
  variant?: EngineVariant
  /** A memory that other threads can share; not supported yet. */
  shared?: boolean
  /** A `WebAssembly.Module`: a compiled `stopcopy/engine.wasm`, such as from `WebAssembly.compileStreaming`. Default: the inlined one. */
  module?: object
}

/**
 * Creates an engine. Its memory is sized once and untouched: it costs physical memory as it is used.
 *
 * EINVAL for a size that is no whole number or a module that is not ours; ENOMEM for a size no engine
 * can have or the host will not give; EOPNOTSUPP for a variant this host cannot run, or `shared`.
 *
 * @example
 * ```ts
 * import { createEngine } from 'stopcopy'
 * const engine = await createEngine({ memoryBytes: 64 * 1024 * 1024 })
 * const page = engine.allocate(4096, 4096)
 * console.log(engine.variant, engine.kernels.crc32c(page, 4096).toString(16)) // simd 98f94189
 * engine.free(page)
 * ```
 */
export async function createEngine(options: EngineOptions = {}): Promise<Engine> {
  const { memoryBytes = DEFAULT_MEMORY_BYTES, variant, module } = options
  checkMemoryBytes(memoryBytes)
  if (options.shared === true) {
    throw new VfioError(
      'EOPNOTSUPP',
      'Cannot create an engine: shared memory is not supported yet, leave shared out',
    )
  }
  const best = module === undefined ? (variant ?? bestWasmVariant() ?? 'reference') : variant
  if (best === 'reference') {
    if (module !== undefined) throw wrongModule('reference')
    const buffer = allocateMemory(memoryBytes, (pages) => new ArrayBuffer(pages * WASM_PAGE_BYTES))
    return assemble('reference', createReferenceKernels(new Uint8Array(buffer)), buffer, memoryBytes)
  }
  const code = module ?? (await wasmModule(best ?? 'simd'))
  const memory = allocateMemory(memoryBytes, (pages) => new WebAssembly.Memory({ initial: pages }))
  const loaded = loadKernels(code, memory)
  if (variant !== undefined && variant !== loaded.variant) throw wrongModule(variant)
  return assemble(loaded.variant, loaded.abi, memory.buffer, memoryBytes)
}

function assemble(variant: EngineVariant, abi: KernelAbi, buffer: ArrayBuffer, memoryBytes: number): Engine {
  const bytes = new Uint8Array(buffer)
  // The memory is whole pages; what lies past memoryBytes is nobody's.
  const allocator = createAllocator(bytes.subarray(0, SCRATCH_BYTES + memoryBytes), SCRATCH_BYTES)
  return {
    variant,
    kernels: createKernels(abi, buffer),
    bytes,
    memoryBytes,
    get allocatedBytes() {
      return allocator.allocatedBytes
    },
    allocate: (byteLength, alignment) => allocator.allocate(byteLength, alignment),
    free: (pointer) => allocator.free(pointer),
  }
}

function checkMemoryBytes(memoryBytes: number): void {
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < 0) {
    throw new VfioError(
      'EINVAL',
      `Cannot create an engine of ${memoryBytes} bytes: memoryBytes is no whole number, pass one from 0 to ${MAX_MEMORY_BYTES}`,
    )
  }
  if (memoryBytes > MAX_MEMORY_BYTES) {
    throw new VfioError(
      'ENOMEM',
      `Cannot create an engine of ${memoryBytes} bytes: a linear memory ends at 4 GiB, pass at most ${MAX_MEMORY_BYTES}`,
    )
  }
}

function allocateMemory<T>(memoryBytes: number, create: (pages: number) => T): T {
  try {
    return create(Math.ceil((SCRATCH_BYTES + memoryBytes) / WASM_PAGE_BYTES))
  } catch (cause) {
    throw new VfioError(
      'ENOMEM',
      `Cannot create an engine of ${memoryBytes} bytes: the host has no such memory, pass a smaller memoryBytes`,
      { cause },
    )
  }
}

function wrongModule(variant: EngineVariant): VfioError {
  return new VfioError(
    'EINVAL',
    `Cannot create an engine: the module is not the ${variant} variant, leave variant or module out`,
  )
}
