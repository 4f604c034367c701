/**
 * The inner loops of folding (`crc32c-fold.ts`): out[i] = src[i] ^ history[i - t] for every tap t.
 *
 * `history` points at what stands one rest before the first byte, so that every tap is a constant
 * offset. It may be what the same loop has stored, since no tap is shorter than 260 bytes: a load never
 * meets a store in flight that covers it in part, which would cost four times its price.
 *
 * @module
 */

/** Bytes per step of `foldFar`, and what it leaves: at least its longest tap, in whole steps. */
export const FAR_STEP: usize = 208
export const FAR_REST: usize = 7072

/** The same for `foldNear`. */
export const NEAR_STEP: usize = 64
export const NEAR_REST: usize = 896

/** Taps 1557, 1765 and 6899: the lowest multiple of the generator whose second tap is the first, 13 vectors later. */
const FAR_A: usize = FAR_REST - 1557
const FAR_B: usize = FAR_REST - 1765
const FAR_C: usize = FAR_REST - 6899

/** Taps 260, 620, 680, 780 and 836: the lowest multiple with six terms (65, 155, 170, 195, 209), four times as far. */
const NEAR_A: usize = NEAR_REST - 260
const NEAR_B: usize = NEAR_REST - 620
const NEAR_C: usize = NEAR_REST - 680
const NEAR_D: usize = NEAR_REST - 780
const NEAR_E: usize = NEAR_REST - 836

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
    const a0 = v128.load(history, FAR_A)
    v128.store(out, xor4(v128.load(src), a0, b0, v128.load(history, FAR_C)))
    b0 = a0
    const a1 = v128.load(history, FAR_A + 16)
    v128.store(out, xor4(v128.load(src, 16), a1, b1, v128.load(history, FAR_C + 16)), 16)
    b1 = a1
    const a2 = v128.load(history, FAR_A + 32)
    v128.store(out, xor4(v128.load(src, 32), a2, b2, v128.load(history, FAR_C + 32)), 32)
    b2 = a2
    const a3 = v128.load(history, FAR_A + 48)
    v128.store(out, xor4(v128.load(src, 48), a3, b3, v128.load(history, FAR_C + 48)), 48)
    b3 = a3
    const a4 = v128.load(history, FAR_A + 64)
    v128.store(out, xor4(v128.load(src, 64), a4, b4, v128.load(history, FAR_C + 64)), 64)
    b4 = a4
    const a5 = v128.load(history, FAR_A + 80)
    v128.store(out, xor4(v128.load(src, 80), a5, b5, v128.load(history, FAR_C + 80)), 80)
    b5 = a5
    const a6 = v128.load(history, FAR_A + 96)
    v128.store(out, xor4(v128.load(src, 96), a6, b6, v128.load(history, FAR_C + 96)), 96)
    b6 = a6
    const a7 = v128.load(history, FAR_A + 112)
    v128.store(out, xor4(v128.load(src, 112), a7, b7, v128.load(history, FAR_C + 112)), 112)
    b7 = a7
    const a8 = v128.load(history, FAR_A + 128)
    v128.store(out, xor4(v128.load(src, 128), a8, b8, v128.load(history, FAR_C + 128)), 128)
    b8 = a8
    const a9 = v128.load(history, FAR_A + 144)
    v128.store(out, xor4(v128.load(src, 144), a9, b9, v128.load(history, FAR_C + 144)), 144)
    b9 = a9
    const a10 = v128.load(history, FAR_A + 160)
    v128.store(out, xor4(v128.load(src, 160), a10, b10, v128.load(history, FAR_C + 160)), 160)
    b10 = a10
    const a11 = v128.load(history, FAR_A + 176)
    v128.store(out, xor4(v128.load(src, 176), a11, b11, v128.load(history, FAR_C + 176)), 176)
    b11 = a11
    const a12 = v128.load(history, FAR_A + 192)
    v128.store(out, xor4(v128.load(src, 192), a12, b12, v128.load(history, FAR_C + 192)), 192)
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

/** Folds `length` bytes, whole steps, over taps 260, 620, 680, 780 and 836. */
export function foldNear(out: usize, history: usize, src: usize, length: usize): void {
  for (; length > 0; length -= NEAR_STEP) {
    if (ASC_FEATURE_SIMD) {
      for (let at: usize = 0; at < NEAR_STEP; at += 16) foldNearVector(out + at, history + at, src + at)
    } else {
      for (let at: usize = 0; at < NEAR_STEP; at += 8) foldNearWord(out + at, history + at, src + at)
    }
    out += NEAR_STEP
    history += NEAR_STEP
    src += NEAR_STEP
  }
}

function foldNearVector(out: usize, history: usize, src: usize): void {
  const first = v128.xor(v128.load(src), v128.load(history, NEAR_A))
  const second = v128.xor(v128.load(history, NEAR_B), v128.load(history, NEAR_C))
  const third = v128.xor(v128.load(history, NEAR_D), v128.load(history, NEAR_E))
  v128.store(out, v128.xor(v128.xor(first, second), third))
}

function foldNearWord(out: usize, history: usize, src: usize): void {
  const first = load<u64>(src) ^ load<u64>(history, NEAR_A) ^ load<u64>(history, NEAR_B)
  const second = load<u64>(history, NEAR_C) ^ load<u64>(history, NEAR_D) ^ load<u64>(history, NEAR_E)
  store<u64>(out, first ^ second)
}
