/**
 * The seeded workload: which record goes where follows from the seed and its sequence number alone, so
 * that whoever knows both can tell what memory must hold.
 *
 * ```text
 * record, 16 bytes, little endian:  0 u64 sequence | 8 u32 slot | 12 u32 check
 * ```
 *
 * @module
 */

/** Bytes of a record; records stand at multiples of it. */
export const RECORD_BYTES = 16
/** Memory filled between two turns of the event loop. */
const FILL_SLICE_WORDS = 4 * 1024 * 1024

/** Where the record of a sequence number goes: a byte offset, or -1 when the memory holds none. */
export function recordOffset(memoryBytes: number, seed: bigint, sequence: bigint): number {
  const slots = Math.floor(memoryBytes / RECORD_BYTES)
  return slots === 0 ? -1 : (recordHash(seed, sequence, 0) % slots) * RECORD_BYTES
}

/** Writes the record of a sequence number at `offset`. */
export function writeRecord(memory: DataView, offset: number, seed: bigint, sequence: bigint): void {
  memory.setBigUint64(offset, sequence, true)
  memory.setUint32(offset + 8, offset / RECORD_BYTES, true)
  memory.setUint32(offset + 12, recordHash(seed, sequence, 1), true)
}

/** True when `offset` holds the whole and correct record of its own sequence number. */
export function isRecord(memory: DataView, offset: number, seed: bigint): boolean {
  const sequence = memory.getBigUint64(offset, true)
  return (
    recordOffset(memory.byteLength, seed, sequence) === offset &&
    memory.getUint32(offset + 8, true) === offset / RECORD_BYTES &&
    memory.getUint32(offset + 12, true) === recordHash(seed, sequence, 1)
  )
}

function recordHash(seed: bigint, sequence: bigint, salt: number): number {
  let hash =
    Number(BigInt.asUintN(32, seed)) ^ Math.imul(Number(BigInt.asUintN(32, seed >> 32n)), 0x9e37_79b1)
  hash = mix(hash ^ Number(BigInt.asUintN(32, sequence)))
  hash = mix(hash ^ Number(BigInt.asUintN(32, sequence >> 32n)) ^ Math.imul(salt, 0x85eb_ca6b))
  return hash
}

/** Avalanche of 32 bits: every input bit reaches every output bit. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x7feb_352d)
  hash = Math.imul(hash ^ (hash >>> 15), 0x846c_a68b)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Fills memory from a seed: the same bytes everywhere, and no page is zero. Yields on large memory. */
export async function fillSeeded(bytes: Uint8Array, seed: number): Promise<void> {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4))
  let state = mix(seed) | 1
  for (let at = 0; at < words.length; at++) {
    // xorshift32 never reaches 0 from a non-zero state.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
    if (at % FILL_SLICE_WORDS === FILL_SLICE_WORDS - 1) await new Promise((resolve) => setTimeout(resolve))
  }
  for (let at = words.length * 4; at < bytes.length; at++) bytes[at] = 0xa5
}
