/**
 * The package's own WebAssembly builds: which runs here, and its compiled module.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { BASELINE_WASM, SIMD_WASM } from './generated/wasm.ts'
import type { WasmVariant } from './load.ts'

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
 * EOPNOTSUPP where the host cannot run it, EPERM where its policy forbids to compile.
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
  if (!shared) return compileBinary(decodeBase64(variant === 'simd' ? SIMD_WASM : BASELINE_WASM))
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
  return compileBinary(binary)
}

/** Our own code is valid, so a refusal is the host's policy; quietly going on many times slower would hide it. */
async function compileBinary(binary: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(binary)
  } catch (cause) {
    throw new VfioError(
      'EPERM',
      "Cannot create an engine: this host forbids to compile WebAssembly, allow 'wasm-unsafe-eval' in the page's Content-Security-Policy or use variant 'reference'",
      { cause },
    )
  }
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}
