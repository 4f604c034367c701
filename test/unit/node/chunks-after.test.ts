import { expect, it } from 'vitest'
import { chunksAfter } from '../../../src/node/chunks-after.ts'

it('chunksAfter leaves what comes after any number of bytes', () => {
  const chunks = [Uint8Array.of(1, 2, 3), Uint8Array.of(4), Uint8Array.of(5, 6)]
  const left = [[1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6], [3, 4, 5, 6], [4, 5, 6], [5, 6], [6], []]
  for (const [byteLength, expected] of left.entries()) {
    expect(chunksAfter(chunks, byteLength).flatMap((chunk) => [...chunk])).toEqual(expected)
  }
  expect(chunksAfter(chunks, 3)).toHaveLength(2)
})
