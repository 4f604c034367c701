/**
 * The caller's memory: a byte array in which pointers are offsets.
 *
 * The kernel's copy_from_user and copy_to_user look at the bytes they move and at nothing else, so
 * every access is checked here, for exactly its own bytes, and never against a declared `argsz`.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/**
 * The `byteLength` bytes at `address` of `memory`, without a copy.
 *
 * @param address - offset in `memory`; u64 pointers of structs come as bigint
 * @throws {@link VfioError} EFAULT when one of the bytes lies outside `memory`, also when the array is
 * detached, and for any address that is no whole number up to 2^53 - 1. No bytes are always in range,
 * as in the kernel.
 */
export function userBytes(memory: Uint8Array, address: number | bigint, byteLength: number): Uint8Array {
  if (byteLength === 0) return new Uint8Array(0)
  const offset = Number(address)
  if (!Number.isSafeInteger(offset) || offset < 0 || offset > memory.length - byteLength) {
    throw new VfioError(
      'EFAULT',
      `Cannot access ${byteLength} bytes at address ${addressText(address)}: the caller's memory has ` +
        `${memory.length} bytes, pass an address inside it`,
      { syscall: 'ioctl' },
    )
  }
  return memory.subarray(offset, offset + byteLength)
}

function addressText(address: number | bigint): string {
  return address >= 0 && (typeof address === 'bigint' || Number.isInteger(address))
    ? `0x${address.toString(16)}`
    : String(address)
}
