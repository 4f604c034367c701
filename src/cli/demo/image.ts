/**
 * The device memory of the demo: what real devices hold, in a mix, the same bytes on every run.
 *
 * @module
 */

/** Bytes of a block; four blocks make one of each kind. */
export const BLOCK_BYTES: number = 1024 * 1024

/** Text of one block before it repeats: making text takes longer than saving it. */
const TEXT_BYTES = 64 * 1024

const WORDS = 'packet ring queue doorbell completion descriptor flow rule table entry vlan mac counter'.split(
  ' ',
)

/**
 * Writes block `index` of the image to the front of `dst`: text, records, noise, or nothing, which is
 * zero pages.
 */
export function fillBlock(dst: Uint8Array, index: number): void {
  const block = dst.subarray(0, Math.min(BLOCK_BYTES, dst.length))
  const kind = index % 4
  if (kind === 0) fillText(block, index)
  else if (kind === 1) fillRecords(block, index)
  else if (kind === 2) fillNoise(block, index)
  else block.fill(0)
}

/** A log: lines of words and numbers. */
function fillText(block: Uint8Array, index: number): void {
  const text = new TextEncoder()
  let random = seed(index)
  let line = 0
  const end = Math.min(TEXT_BYTES, block.length)
  for (let at = 0; at < end;) {
    let words = `[${index}.${String(line++).padStart(6, '0')}]`
    for (let count = 0; count < 40; count++) {
      random = next(random)
      words += ` ${WORDS[random % WORDS.length]}`
    }
    const bytes = text.encode(`${words} 0x${random.toString(16)}\n`)
    block.set(bytes.subarray(0, end - at), at)
    at += bytes.length
  }
  for (let at = end; at < block.length; at += end) block.copyWithin(at, 0, Math.min(end, block.length - at))
}

/** A table of 32-byte entries: an index, an address, flags, a counter, and room for more. */
function fillRecords(block: Uint8Array, index: number): void {
  block.fill(0)
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  let random = seed(index)
  for (let at = 0; at + 32 <= block.length; at += 32) {
    random = next(random)
    view.setUint32(at, at / 32, true)
    view.setUint32(at + 8, random & ~0xfff, true)
    view.setUint16(at + 16, random & 0x7, true)
    view.setUint32(at + 24, random >>> 12, true)
  }
}

/** Bytes that look random: ciphertext, or compressed data. */
function fillNoise(block: Uint8Array, index: number): void {
  const view = new DataView(block.buffer, block.byteOffset, block.length)
  let random = seed(index)
  for (let at = 0; at + 4 <= block.length; at += 4) {
    random = next(random)
    view.setUint32(at, random, true)
  }
}

function seed(index: number): number {
  return (Math.imul(index + 1, 0x9e37_79b1) >>> 0) | 1
}

/** xorshift32 */
function next(value: number): number {
  let random = value ^ (value << 13)
  random ^= random >>> 17
  return (random ^ (random << 5)) >>> 0
}
