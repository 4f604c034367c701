/**
 * CRC-32C (Castagnoli, reflected) in plain TypeScript, eight bytes a step over eight tables.
 *
 * @module
 */

/** 0x1EDC6F41 with its bits reversed. */
const POLYNOMIAL = 0x82f63b78

let tables: Int32Array | undefined

/** Table n, entries n * 256 and up, is table 0 followed by n zero bytes. */
function buildTables(): Int32Array {
  const built = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    built[byte] = crc
  }
  for (let i = 256; i < built.length; i++) {
    const crc = built[i - 256] as number
    built[i] = (crc >>> 8) ^ (built[crc & 0xff] as number)
  }
  return built
}

/** CRC-32C of `byteLength` bytes at `offset`, continued from `previous`; unsigned. */
export function crc32c(bytes: Uint8Array, offset: number, byteLength: number, previous: number): number {
  tables ??= buildTables()
  const table = tables
  const end = offset + byteLength
  let at = offset
  let crc = ~previous
  // The indices below are inside the array and the tables, so no element is missing.
  const byteAt = (index: number): number => bytes[index] as number
  const entry = (n: number, index: number): number => table[(n << 8) | (index & 0xff)] as number
  for (; end - at >= 8; at += 8) {
    const low = crc ^ (byteAt(at) | (byteAt(at + 1) << 8) | (byteAt(at + 2) << 16) | (byteAt(at + 3) << 24))
    crc =
      entry(7, low) ^
      entry(6, low >>> 8) ^
      entry(5, low >>> 16) ^
      entry(4, low >>> 24) ^
      entry(3, byteAt(at + 4)) ^
      entry(2, byteAt(at + 5)) ^
      entry(1, byteAt(at + 6)) ^
      entry(0, byteAt(at + 7))
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ entry(0, crc ^ byteAt(at))
  return ~crc >>> 0
}
