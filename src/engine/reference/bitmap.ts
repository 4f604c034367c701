/**
 * Runs of set bits in plain TypeScript, 32 bits at a time.
 *
 * @module
 */

import { RUN_BYTES } from '../engine.ts'
import { KERNEL_EFAULT } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'

/** Twin of `bitmapRunsFind`: `clz32` over words, which skips those of all zeros and all ones. */
export function bitmapRunsFind(
  view: DataView,
  bitmap: number,
  firstBit: number,
  bitCount: number,
  runs: number,
  maxRuns: number,
): number {
  const endBit = firstBit + bitCount
  const memoryBytes = view.byteLength
  if (endBit > 0xffffffff || isOutside(memoryBytes, bitmap, Math.ceil(endBit / 8))) return KERNEL_EFAULT
  if (isOutside(memoryBytes, runs, maxRuns * RUN_BYTES)) return KERNEL_EFAULT
  if (bitCount === 0 || maxRuns === 0) return 0
  // Aligned words over the whole memory: a bit's place in them is its place in the bitmap plus this.
  const words = new Int32Array(view.buffer)
  const shift = (bitmap & 3) * 8
  const firstWord = bitmap >>> 2
  const lastWord = firstWord + Math.floor((endBit + shift - 1) / 32)
  const lastMask = -1 >>> -(endBit + shift)
  let word = firstWord + Math.floor((firstBit + shift) / 32)
  /** The bit of the bitmap that is the word's bit 0. */
  let base = (word - firstWord) * 32 - shift
  let bits = (words[word] as number) & (-1 << (firstBit + shift)) & (word === lastWord ? lastMask : -1)
  let out = runs
  const outEnd = runs + maxRuns * RUN_BYTES
  while (out < outEnd) {
    while (bits === 0) {
      if (word === lastWord) return (out - runs) / RUN_BYTES
      bits = words[++word] as number
      if (word === lastWord) bits &= lastMask
      base += 32
    }
    const lowest = bits & -bits
    const first = base + lowestBit(lowest)
    // The carry runs through the run's ones and stops at the zero behind them.
    const carried = (bits + lowest) | 0
    let end: number
    if (carried !== 0) {
      end = base + lowestBit(carried)
      bits &= carried
    } else {
      do {
        base += 32
        if (word === lastWord) break
        bits = words[++word] as number
        if (word === lastWord) bits &= lastMask
      } while (bits === -1)
      if (base >= endBit) {
        end = endBit
        bits = 0
      } else {
        end = base + lowestBit(~bits)
        bits &= bits + 1
      }
    }
    view.setUint32(out, first, true)
    view.setUint32(out + 4, end - first, true)
    out += RUN_BYTES
  }
  return maxRuns
}

/** Index of the lowest set bit; `bits` is not 0. */
function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}
