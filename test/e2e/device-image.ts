/** Files that become device memory: no two pages alike, none of them zero. @module */

import { open } from 'node:fs/promises'

const BLOCK_BYTES = 1024 * 1024
const PAGE_BYTES = 4096

/** Pseudo-random bytes, from which each block takes its own stretch. */
const NOISE = noise(2 * BLOCK_BYTES)

function noise(byteLength: number): Uint8Array {
  const words = new Uint32Array(byteLength / 4)
  let state = 0x9e37_79b9
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  return new Uint8Array(words.buffer)
}

/** Block `index` of the image, at most `byteLength` bytes; each page begins with its own number. */
function imageBlock(index: number, byteLength: number): Uint8Array {
  const from = (index * 4099) % BLOCK_BYTES
  const block = NOISE.slice(from, from + Math.min(BLOCK_BYTES, byteLength))
  const view = new DataView(block.buffer)
  for (let at = 0; at + 4 <= block.length; at += PAGE_BYTES)
    view.setUint32(at, index * 256 + at / PAGE_BYTES + 1)
  return block
}

/** Writes the image of a size. */
export async function writeImage(path: string, byteLength: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let at = 0; at < byteLength; at += BLOCK_BYTES)
      await file.writev([imageBlock(at / BLOCK_BYTES, byteLength - at)])
  } finally {
    await file.close()
  }
}

/** Where a file differs from the image of a size: a byte offset, or -1 when it is equal. */
export async function differenceFromImage(path: string, byteLength: number): Promise<number> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const block = Buffer.alloc(BLOCK_BYTES)
    for (let at = 0; at < byteLength; at += BLOCK_BYTES) {
      const wanted = imageBlock(at / BLOCK_BYTES, byteLength - at)
      const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, at)
      const found = block.subarray(0, bytesRead)
      if (found.equals(wanted)) continue
      const differs = found.findIndex((byte, index) => byte !== wanted[index])
      return at + (differs < 0 ? bytesRead : differs)
    }
    return size === byteLength ? -1 : byteLength
  } finally {
    await file.close()
  }
}
