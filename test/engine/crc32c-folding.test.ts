import { describe, expect, test } from 'vitest'
import { crc32cCombine, crc32cOfBytes } from '../../src/engine/index.ts'
import { foldingTaps, remainder } from './kernels/crc32c.ts'
import { noise } from './kernels/fixture.ts'

describe('folding of CRC-32C', () => {
  test('goes by multiples of the generator', () => {
    const taps = foldingTaps()
    expect(taps.map((each) => each.length)).toEqual([3, 5])
    expect(taps.map(remainder)).toEqual([0, 0])
    expect(remainder([1557, 1765, 6898])).not.toBe(0)
  })
})

describe('crc32cCombine', () => {
  const sample = noise(5000, 3)

  test('is CRC-32C of the two pieces together, either of them empty', () => {
    for (const split of [0, 1, 2, 255, 256, 2047, 4999, 5000]) {
      const [first, second] = [sample.subarray(0, split), sample.subarray(split)]
      expect(crc32cCombine(crc32cOfBytes(first), crc32cOfBytes(second), second.length)).toBe(
        crc32cOfBytes(sample),
      )
    }
  })

  test('takes lengths no memory has, and is associative over them', () => {
    const [a, b, c] = [0x12345678, 0x9abcdef0, 0xffffffff]
    const [bBytes, cBytes] = [2 ** 40 + 3, 2 ** 52 - 1]
    const leftFirst = crc32cCombine(crc32cCombine(a, b, bBytes), c, cBytes)
    expect(crc32cCombine(a, crc32cCombine(b, c, cBytes), bBytes + cBytes)).toBe(leftFirst)
  })

  test.each([-1, 0.5, Number.NaN, 2 ** 53])('refuses %d bytes', (bytes) => {
    expect(() => crc32cCombine(1, 2, bytes)).toThrow(/EINVAL|no length/)
  })
})
