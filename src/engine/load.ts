/**
 * WebAssembly: which build runs here, its compiled module, an instance over a memory. The only file
 * that imports @assemblyscript/loader.
 *
 * @module
 */

import { instantiateSync } from '@assemblyscript/loader'
import { VfioError } from '../errors.ts'
import { BASELINE_WASM, SIMD_WASM } from './generated/wasm.ts'
import { ABI_VERSION } from './kernel-abi.ts'
import type { KernelAbi } from './kernel-abi.ts'

/** The variants that are WebAssembly builds. */
export type WasmVariant = 'simd' | 'baseline'

/** Bytes of a WebAssembly page. */
export const WASM_PAGE_BYTES = 65536

/** The best variant this host can run; undefined where it has no WebAssembly. */
export function bestWasmVariant(): WasmVariant | undefined {
  if (typeof WebAssembly !== 'object') return undefined
  return hasSimd() ? 'simd' : 'baseline'
}

let simdAnswer: boolean | undefined

function hasSimd(): boolean {
  simdAnswer ??= WebAssembly.validate(decodeBase64(SIMD_WASM))
  return simdAnswer
}

const compiled = new Map<string, Promise<WebAssembly.Module>>()

/**
 * The build for the variant, compiled once per process: engines share its machine code, and with it the
 * tier that earlier calls have reached. A build over shared memory is loaded only when it is asked for.
 * EOPNOTSUPP where the host cannot run it.
 */
export function wasmModule(variant: WasmVariant, shared = false): Promise<WebAssembly.Module> {
  const key = shared ? `${variant}-shared` : variant
  let module = compiled.get(key)
  if (module === undefined) {
    const best = bestWasmVariant()
    if (best === undefined || (variant === 'simd' && best !== 'simd')) {
      return Promise.reject(
        new VfioError(
          'EOPNOTSUPP',
          `Cannot create an engine: this host cannot run the ${variant} variant, leave variant out to take what it can`,
        ),
      )
    }
    module = compile(variant, shared)
    compiled.set(key, module)
    // A page's security policy may forbid compiling; a later call may be allowed to.
    module.catch(() => compiled.delete(key))
  }
  return module
}

async function compile(variant: WasmVariant, shared: boolean): Promise<WebAssembly.Module> {
  if (!shared) return WebAssembly.compile(decodeBase64(variant === 'simd' ? SIMD_WASM : BASELINE_WASM))
  const code =
    variant === 'simd'
      ? (await import('./generated/wasm-simd-shared.ts')).SIMD_SHARED_WASM
      : (await import('./generated/wasm-baseline-shared.ts')).BASELINE_SHARED_WASM
  const binary = decodeBase64(code)
  if (!WebAssembly.validate(binary)) {
    throw new VfioError(
      'EOPNOTSUPP',
      'Cannot create a shared engine: this host has no WebAssembly threads, leave shared out',
    )
  }
  return WebAssembly.compile(binary)
}

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

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}
