/**
 * Instantiates the kernels over a memory. The only file that imports @assemblyscript/loader, and, since
 * workers import it, one without the builds themselves.
 *
 * @module
 */

import { instantiateSync } from '@assemblyscript/loader'
import { VfioError } from '../errors.ts'
import { ABI_VERSION } from './kernel-abi.ts'
import type { KernelAbi } from './kernel-abi.ts'

/** The variants that are WebAssembly builds. */
export type WasmVariant = 'simd' | 'baseline'

/** Bytes of a WebAssembly page. */
export const WASM_PAGE_BYTES = 65536

/** An instance's kernels and the variant it was built as. */
export interface LoadedKernels {
  readonly abi: KernelAbi
  readonly variant: WasmVariant
}

/**
 * Instantiates a module of ours over `memory`. EINVAL when it is not one, or one of another version
 * of this package.
 */
export function loadKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): LoadedKernels {
  const exports = instantiateOurs(module, memory)
  return {
    abi: exports as unknown as KernelAbi,
    variant: exportedNumber(exports, 'SIMD_BUILD') === 1 ? 'simd' : 'baseline',
  }
}

/** The instance's own exports: the loader's wrappers cost as much as a small kernel. */
function instantiateOurs(module: WebAssembly.Module, memory: WebAssembly.Memory): WebAssembly.Exports {
  let cause: unknown
  try {
    // Synchronous: linking 6 KB takes 0.1 ms, waiting for the asynchronous form took up to 40.
    const { exports } = instantiateSync(module, { env: { memory } }).instance
    if (exportedNumber(exports, 'ABI_VERSION') === ABI_VERSION) return exports
  } catch (error) {
    cause = error
  }
  throw new VfioError(
    'EINVAL',
    'Cannot create an engine: the module is not the engine of this version, compile stopcopy/engine.wasm of the same package, for a shared engine stopcopy/engine-shared.wasm',
    { cause },
  )
}

function exportedNumber(exports: WebAssembly.Exports, name: string): unknown {
  const value = exports[name]
  return value instanceof WebAssembly.Global ? (value.value as unknown) : undefined
}
