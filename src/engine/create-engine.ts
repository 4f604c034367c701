/**
 * Creates an engine: its memory, its kernels, its allocator.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { createAllocator } from './allocator.ts'
import { bestWasmVariant, wasmModule } from './builds.ts'
import { SCRATCH_BYTES, createKernels } from './create-kernels.ts'
import type { Engine, EngineShare, EngineVariant } from './engine.ts'
import type { KernelAbi } from './kernel-abi.ts'
import { WASM_PAGE_BYTES, loadKernels } from './load.ts'
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
  /**
   * Memory that other threads can work on, such as an `EngineWorker`. Default false. Its code is loaded
   * only when it is asked for.
   */
  shared?: boolean
  /**
   * A `WebAssembly.Module`: a compiled `stopcopy/engine.wasm`, such as from `WebAssembly.compileStreaming`;
   * for `shared`, a compiled `stopcopy/engine-shared.wasm`. Default: the one in the package's code.
   */
  module?: object
}

/**
 * Creates an engine. Its memory is sized once and untouched: it costs physical memory as it is used.
 *
 * EINVAL for a size that is no whole number or a module that is not ours; ENOMEM for a size no engine
 * can have or the host will not give; EOPNOTSUPP for a variant this host cannot run, or for `shared` where
 * it has no shared memory (a page must be cross-origin isolated); EPERM where a page's policy forbids WebAssembly.
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
  const shared = options.shared ?? false
  checkMemoryBytes(memoryBytes)
  if (shared) checkSharedMemory()
  const best = module === undefined ? (variant ?? bestWasmVariant() ?? 'reference') : variant
  if (best === 'reference') {
    if (module !== undefined) throw wrongModule('reference')
    const buffer = allocateMemory(memoryBytes, (pages) =>
      shared ? new SharedArrayBuffer(pages * WASM_PAGE_BYTES) : new ArrayBuffer(pages * WASM_PAGE_BYTES),
    )
    const abi = createReferenceKernels(new Uint8Array(buffer))
    return assemble(abi, buffer, memoryBytes, { variant: 'reference', memory: buffer })
  }
  const code = module ?? (await wasmModule(best ?? 'simd', shared))
  const memory = allocateMemory(
    memoryBytes,
    (pages) =>
      new WebAssembly.Memory(shared ? { initial: pages, maximum: pages, shared } : { initial: pages }),
  )
  const { abi, variant: built } = loadKernels(code, memory)
  if (variant !== undefined && variant !== built) throw wrongModule(variant)
  return assemble(abi, memory.buffer, memoryBytes, { variant: built, memory, module: code })
}

function assemble(abi: KernelAbi, buffer: ArrayBufferLike, memoryBytes: number, share: EngineShare): Engine {
  const bytes = new Uint8Array(buffer)
  // The memory is whole pages; what lies past memoryBytes is nobody's.
  const allocator = createAllocator(bytes.subarray(0, SCRATCH_BYTES + memoryBytes), SCRATCH_BYTES)
  const shared = typeof SharedArrayBuffer === 'function' && buffer instanceof SharedArrayBuffer
  return {
    variant: share.variant,
    kernels: createKernels(abi, buffer),
    bytes,
    memoryBytes,
    shared,
    share: shared ? share : undefined,
    get allocatedBytes() {
      return allocator.allocatedBytes
    },
    allocate: (byteLength, alignment) => allocator.allocate(byteLength, alignment),
    free: (pointer) => allocator.free(pointer),
  }
}

function checkSharedMemory(): void {
  if (typeof SharedArrayBuffer === 'function') return
  throw new VfioError(
    'EOPNOTSUPP',
    'Cannot create a shared engine: this host has no SharedArrayBuffer, leave shared out or serve the page cross-origin isolated',
  )
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
