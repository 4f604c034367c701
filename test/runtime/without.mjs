/**
 * How a runtime is started without a feature of host.mjs: the engine itself is told to go without, and nothing
 * is replaced or deleted by a script.
 */

import { arch } from 'node:process'

/** Flags of V8: Node takes them as they are, Deno as `--v8-flags`, Chromium as `--js-flags`. */
export const V8_FLAGS = {
  // SSE 4.1 is what its vectors need; on other processors there is no such flag.
  ...(arch === 'x64' ? { simd: '--no-enable-sse4-1' } : {}),
  // The constructor is then missing where nobody switches it on, and none of them does.
  shared: '--enable-sharedarraybuffer-per-context',
  // Without a compiler there is no WebAssembly, as in a browser's lockdown mode.
  wasm: '--jitless',
}

/** The environment in which Bun's JavaScriptCore goes without. */
export const BUN_ENVIRONMENT = {
  simd: { BUN_JSC_useWasmSIMD: '0' },
  shared: { BUN_JSC_useSharedArrayBuffer: '0' },
  wasm: { BUN_JSC_useWasm: '0' },
}

/** How a person calls them. */
export const FEATURE_NAMES = { simd: 'SIMD', shared: 'SharedArrayBuffer', wasm: 'WebAssembly' }
