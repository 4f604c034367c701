import { describe, expect, it } from 'vitest'
import { BLOCK_BYTES, fillBlock } from '../../../src/cli/demo/image.ts'

function block(index: number): Buffer {
  const bytes = Buffer.alloc(BLOCK_BYTES, 0xee)
  fillBlock(bytes, index)
  return bytes
}

describe('the image of the demo', () => {
  it('is the same on every run, and no two blocks are alike but the empty ones', () => {
    const blocks = [0, 1, 2, 4, 5, 6].map(block)
    for (const [index, bytes] of blocks.entries())
      for (const [other, bytesOfOther] of blocks.entries())
        expect(bytes.equals(bytesOfOther)).toBe(index === other)
    expect(block(4).equals(block(4))).toBe(true)
  })

  it('is text, records, noise and zero pages in turn', () => {
    expect(block(0).toString('latin1')).toMatch(/^[\n\u0020-\u007e]+$/)
    expect(block(1).readUInt32LE(32)).toBe(1)
    expect(new Set(block(2).subarray(0, 65_536)).size).toBe(256)
    expect(block(3).every((byte) => byte === 0)).toBe(true)
  })

  it('fills a device that ends within a block', () => {
    const bytes = Buffer.alloc(4097, 0xee)
    for (const index of [0, 1, 2, 3]) {
      fillBlock(bytes, index)
      expect(bytes.subarray(0, 4096).equals(block(index).subarray(0, 4096)), String(index)).toBe(true)
    }
  })
})
