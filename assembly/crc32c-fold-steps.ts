/**
 * The inner loops of folding (`crc32c-fold.ts`): out[i] = src[i] ^ history[i - t] for every tap t.
 *
 * `history` points at what stands one rest before the first byte, so that every tap is a constant
 * offset. It may be what the same loop has stored, since no tap is shorter than 358 bytes: a load never
 * meets a store in flight that covers it in part, which would cost four times its price.
 *
 * @module
 */

/** Bytes per step of `foldFar`, and what it leaves: at least its longest tap, in whole steps. */
export const FAR_STEP: usize = 208
export const FAR_REST: usize = 7072

/** The same for `foldNear`. */
export const NEAR_STEP: usize = 112
export const NEAR_REST: usize = 672

/** Taps 1557, 1765 and 6899: of four terms the lowest multiple found with two taps, 13 vectors apart, for one load. */
const FAR_A: usize = FAR_REST - 1557
const FAR_B: usize = FAR_REST - 1765
const FAR_C: usize = FAR_REST - 6899

/**
 * Taps 358, 405, 506, 522 and 618: of six terms the lowest multiple found with three taps, 1 and 7
 * vectors apart, for one load and none below 350.
 */
const NEAR_A: usize = NEAR_REST - 358
const NEAR_B: usize = NEAR_REST - 405
const NEAR_C: usize = NEAR_REST - 506
const NEAR_D: usize = NEAR_REST - 522
const NEAR_E: usize = NEAR_REST - 618

/** Folds `length` bytes, whole steps, over taps 1557, 1765 and 6899. */
export function foldFar(out: usize, history: usize, src: usize, length: usize): void {
  if (ASC_FEATURE_SIMD) foldFarVectors(out, history, src, length)
  else foldFarWords(out, history, src, length)
}

/** What was loaded for tap 1557 is kept for tap 1765: one load in four fewer. */
function foldFarVectors(out: usize, history: usize, src: usize, length: usize): void {
  let b0 = v128.load(history, FAR_B)
  let b1 = v128.load(history, FAR_B + 16)
  let b2 = v128.load(history, FAR_B + 32)
  let b3 = v128.load(history, FAR_B + 48)
  let b4 = v128.load(history, FAR_B + 64)
  let b5 = v128.load(history, FAR_B + 80)
  let b6 = v128.load(history, FAR_B + 96)
  let b7 = v128.load(history, FAR_B + 112)
  let b8 = v128.load(history, FAR_B + 128)
  let b9 = v128.load(history, FAR_B + 144)
  let b10 = v128.load(history, FAR_B + 160)
  let b11 = v128.load(history, FAR_B + 176)
  let b12 = v128.load(history, FAR_B + 192)
  for (; length > 0; length -= FAR_STEP) {
    const far0 = v128.xor(v128.load(src), v128.load(history, FAR_C))
    const a0 = v128.load(history, FAR_A)
    v128.store(out, v128.xor(far0, v128.xor(a0, b0)))
    b0 = a0
    const far1 = v128.xor(v128.load(src, 16), v128.load(history, FAR_C + 16))
    const a1 = v128.load(history, FAR_A + 16)
    v128.store(out, v128.xor(far1, v128.xor(a1, b1)), 16)
    b1 = a1
    const far2 = v128.xor(v128.load(src, 32), v128.load(history, FAR_C + 32))
    const a2 = v128.load(history, FAR_A + 32)
    v128.store(out, v128.xor(far2, v128.xor(a2, b2)), 32)
    b2 = a2
    const far3 = v128.xor(v128.load(src, 48), v128.load(history, FAR_C + 48))
    const a3 = v128.load(history, FAR_A + 48)
    v128.store(out, v128.xor(far3, v128.xor(a3, b3)), 48)
    b3 = a3
    const far4 = v128.xor(v128.load(src, 64), v128.load(history, FAR_C + 64))
    const a4 = v128.load(history, FAR_A + 64)
    v128.store(out, v128.xor(far4, v128.xor(a4, b4)), 64)
    b4 = a4
    const far5 = v128.xor(v128.load(src, 80), v128.load(history, FAR_C + 80))
    const a5 = v128.load(history, FAR_A + 80)
    v128.store(out, v128.xor(far5, v128.xor(a5, b5)), 80)
    b5 = a5
    const far6 = v128.xor(v128.load(src, 96), v128.load(history, FAR_C + 96))
    const a6 = v128.load(history, FAR_A + 96)
    v128.store(out, v128.xor(far6, v128.xor(a6, b6)), 96)
    b6 = a6
    const far7 = v128.xor(v128.load(src, 112), v128.load(history, FAR_C + 112))
    const a7 = v128.load(history, FAR_A + 112)
    v128.store(out, v128.xor(far7, v128.xor(a7, b7)), 112)
    b7 = a7
    const far8 = v128.xor(v128.load(src, 128), v128.load(history, FAR_C + 128))
    const a8 = v128.load(history, FAR_A + 128)
    v128.store(out, v128.xor(far8, v128.xor(a8, b8)), 128)
    b8 = a8
    const far9 = v128.xor(v128.load(src, 144), v128.load(history, FAR_C + 144))
    const a9 = v128.load(history, FAR_A + 144)
    v128.store(out, v128.xor(far9, v128.xor(a9, b9)), 144)
    b9 = a9
    const far10 = v128.xor(v128.load(src, 160), v128.load(history, FAR_C + 160))
    const a10 = v128.load(history, FAR_A + 160)
    v128.store(out, v128.xor(far10, v128.xor(a10, b10)), 160)
    b10 = a10
    const far11 = v128.xor(v128.load(src, 176), v128.load(history, FAR_C + 176))
    const a11 = v128.load(history, FAR_A + 176)
    v128.store(out, v128.xor(far11, v128.xor(a11, b11)), 176)
    b11 = a11
    const far12 = v128.xor(v128.load(src, 192), v128.load(history, FAR_C + 192))
    const a12 = v128.load(history, FAR_A + 192)
    v128.store(out, v128.xor(far12, v128.xor(a12, b12)), 192)
    b12 = a12
    out += FAR_STEP
    history += FAR_STEP
    src += FAR_STEP
  }
}

function xor4(a: v128, b: v128, c: v128, d: v128): v128 {
  return v128.xor(v128.xor(a, b), v128.xor(c, d))
}

function foldFarWords(out: usize, history: usize, src: usize, length: usize): void {
  for (; length > 0; length -= 16) {
    const first = load<u64>(src) ^ load<u64>(history, FAR_A) ^ load<u64>(history, FAR_B)
    const second = load<u64>(src, 8) ^ load<u64>(history, FAR_A + 8) ^ load<u64>(history, FAR_B + 8)
    store<u64>(out, first ^ load<u64>(history, FAR_C))
    store<u64>(out, second ^ load<u64>(history, FAR_C + 8), 8)
    out += 16
    history += 16
    src += 16
  }
}

/** Folds `length` bytes, whole steps, over taps 358, 405, 506, 522 and 618. */
export function foldNear(out: usize, history: usize, src: usize, length: usize): void {
  if (ASC_FEATURE_SIMD) foldNearVectors(out, history, src, length)
  else foldNearWords(out, history, src, length)
}

/** What was loaded for tap 506 serves as tap 522 one vector later and as tap 618 seven later. */
function foldNearVectors(out: usize, history: usize, src: usize, length: usize): void {
  let e0 = v128.load(history, NEAR_E)
  let e1 = v128.load(history, NEAR_E + 16)
  let e2 = v128.load(history, NEAR_E + 32)
  let e3 = v128.load(history, NEAR_E + 48)
  let e4 = v128.load(history, NEAR_E + 64)
  let e5 = v128.load(history, NEAR_E + 80)
  let e6 = v128.load(history, NEAR_E + 96)
  for (; length > 0; length -= NEAR_STEP) {
    const c0 = v128.load(history, NEAR_C)
    const near0 = xor3(v128.load(src), v128.load(history, NEAR_A), v128.load(history, NEAR_B))
    v128.store(out, v128.xor(near0, xor3(c0, e6, e0)))
    e0 = c0
    const c1 = v128.load(history, NEAR_C + 16)
    const near1 = xor3(v128.load(src, 16), v128.load(history, NEAR_A + 16), v128.load(history, NEAR_B + 16))
    v128.store(out, v128.xor(near1, xor3(c1, e0, e1)), 16)
    e1 = c1
    const c2 = v128.load(history, NEAR_C + 32)
    const near2 = xor3(v128.load(src, 32), v128.load(history, NEAR_A + 32), v128.load(history, NEAR_B + 32))
    v128.store(out, v128.xor(near2, xor3(c2, e1, e2)), 32)
    e2 = c2
    const c3 = v128.load(history, NEAR_C + 48)
    const near3 = xor3(v128.load(src, 48), v128.load(history, NEAR_A + 48), v128.load(history, NEAR_B + 48))
    v128.store(out, v128.xor(near3, xor3(c3, e2, e3)), 48)
    e3 = c3
    const c4 = v128.load(history, NEAR_C + 64)
    const near4 = xor3(v128.load(src, 64), v128.load(history, NEAR_A + 64), v128.load(history, NEAR_B + 64))
    v128.store(out, v128.xor(near4, xor3(c4, e3, e4)), 64)
    e4 = c4
    const c5 = v128.load(history, NEAR_C + 80)
    const near5 = xor3(v128.load(src, 80), v128.load(history, NEAR_A + 80), v128.load(history, NEAR_B + 80))
    v128.store(out, v128.xor(near5, xor3(c5, e4, e5)), 80)
    e5 = c5
    const c6 = v128.load(history, NEAR_C + 96)
    const near6 = xor3(v128.load(src, 96), v128.load(history, NEAR_A + 96), v128.load(history, NEAR_B + 96))
    v128.store(out, v128.xor(near6, xor3(c6, e5, e6)), 96)
    e6 = c6
    out += NEAR_STEP
    history += NEAR_STEP
    src += NEAR_STEP
  }
}

function xor3(a: v128, b: v128, c: v128): v128 {
  return v128.xor(v128.xor(a, b), c)
}

function foldNearWords(out: usize, history: usize, src: usize, length: usize): void {
  for (; length > 0; length -= 8) {
    const first = load<u64>(src) ^ load<u64>(history, NEAR_A) ^ load<u64>(history, NEAR_B)
    const second = load<u64>(history, NEAR_C) ^ load<u64>(history, NEAR_D) ^ load<u64>(history, NEAR_E)
    store<u64>(out, first ^ second)
    out += 8
    history += 8
    src += 8
  }
}
