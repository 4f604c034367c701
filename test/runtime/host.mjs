/** What a host has, found out without stopcopy: a test that disables something sees that it is gone. */

/** A function that makes a vector: the smallest module that needs SIMD. */
// prettier-ignore
const SIMD_MODULE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, // \0asm, version 1
  1, 5, 1, 96, 0, 1, 123, // type: () -> v128
  3, 2, 1, 0, // one function of it
  10, 8, 1, 6, 0, 65, 0, 253, 15, 11, // i32.const 0, i8x16.splat, end
)

/** What can be switched off, as the command and the pages name it. */
export const FEATURES = ['simd', 'shared', 'wasm']

/** The features of {@link FEATURES} that this host has, joined by commas. */
export function hostFeatures() {
  const wasm = typeof WebAssembly === 'object'
  const has = {
    simd: wasm && WebAssembly.validate(SIMD_MODULE),
    shared: typeof SharedArrayBuffer === 'function',
    wasm,
  }
  return FEATURES.filter((feature) => has[feature])
}

/** What a host has without one of them: SIMD goes with WebAssembly. */
export function featuresWithout(missing) {
  return FEATURES.filter((feature) => feature !== missing && !(missing === 'wasm' && feature === 'simd'))
}
