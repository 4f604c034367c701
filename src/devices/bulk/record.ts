/**
 * Records, which the workload and peers write: where one goes and what it holds follows from the seed
 * and its sequence number, so that whoever knows both can tell what memory must hold.
 *
 * ```text
 * record, 16 bytes, little endian:  0 u64 sequence | 8 u32 slot | 12 u32 check
 * ```
 * Sequence numbers are two 32-bit halves here: a bigint per record would be most of the device's clock.
 *
 * @module
 */

/** Bytes of a record; records stand at multiples of it, which are slots. */
export const RECORD_BYTES = 16

/** Salt of the check of a record that the workload wrote. */
export const WORKLOAD_CHECK = 1
/** Salt of the check of a record that a peer wrote. */
export const PEER_CHECK = 4

/** Avalanche of 32 bits: every input bit reaches every output bit. */
export function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x7feb_352d)
  hash = Math.imul(hash ^ (hash >>> 15), 0x846c_a68b)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** A seed in 32 bits, for {@link sequenceHash}. */
export function seedKey(seed: bigint): number {
  return Number(BigInt.asUintN(32, seed)) ^ Math.imul(Number(BigInt.asUintN(32, seed >> 32n)), 0x9e37_79b1)
}

/** What all hashes of a record have in common, for {@link saltedHash}. */
export function sequenceHash(key: number, high: number, low: number): number {
  return mix(key ^ low) ^ high
}

/** One of a record's hashes, 32 bits. */
export function saltedHash(hash: number, salt: number): number {
  return mix(hash ^ Math.imul(salt, 0x85eb_ca6b))
}

/** A sequence number modulo `divisor`, which is below 2^21. */
export function sequenceModulo(high: number, low: number, divisor: number): number {
  if (high === 0) return low % divisor
  return ((high % divisor) * (0x1_0000_0000 % divisor) + low) % divisor
}

/** The upper half of a sequence number. */
export function highOf(sequence: bigint): number {
  return Number(BigInt.asUintN(32, sequence >> 32n))
}

/** The lower half of a sequence number. */
export function lowOf(sequence: bigint): number {
  return Number(BigInt.asUintN(32, sequence))
}

/** Stores a record at `slot`. */
export function storeRecord(memory: DataView, slot: number, high: number, low: number, check: number): void {
  const at = slot * RECORD_BYTES
  memory.setUint32(at, low, true)
  memory.setUint32(at + 4, high, true)
  memory.setUint32(at + 8, slot, true)
  memory.setUint32(at + 12, check, true)
}
