/**
 * Decompresses one LZ4 block, whatever it holds: a malformed one is refused without a read or write
 * outside the ranges given.
 *
 * @module
 */

import { EFAULT, EINVAL } from './abi'
import { isOutside } from './bounds'
import { copy16, repeat } from './lz4-copy'

const MIN_MATCH: usize = 4
/** The largest length that half a token holds says: more follows. */
const LENGTH_MASK: usize = 15

/**
 * Writes the bytes of the block of `length` bytes at `src` to `dst`. Returns how many they are, EFAULT,
 * or EINVAL (malformed, or more than `capacity` bytes; what was written by then stays).
 */
export function lz4Decompress(src: usize, length: usize, dst: usize, capacity: usize): i32 {
  if (isOutside(src, length) || isOutside(dst, capacity)) return EFAULT
  // SAFETY: `left` bytes can be read at `src` and `room` be written at `out`; every step compares first.
  const limit = min(capacity, i32.MAX_VALUE as usize)
  let left = length
  let room = limit
  let out = dst
  while (left > 0) {
    const token: usize = load<u8>(src++)
    left--
    let literals = token >> 4
    if (literals == LENGTH_MASK) {
      let more: usize = 255
      while (more == 255) {
        if (left == 0 || literals > room) return EINVAL
        more = load<u8>(src++)
        left--
        literals += more
      }
    }
    if (literals > left || literals > room) return EINVAL
    if (literals <= 16 && left >= 16 && room >= 16) copy16(out, src)
    else memory.copy(out, src, literals)
    src += literals
    left -= literals
    out += literals
    room -= literals
    // A block ends with literals.
    if (left == 0) return (limit - room) as i32
    if (left < 2) return EINVAL
    const distance: usize = load<u16>(src)
    src += 2
    left -= 2
    if (distance == 0 || distance > limit - room) return EINVAL
    let bytes = token & LENGTH_MASK
    if (bytes == LENGTH_MASK) {
      let more: usize = 255
      while (more == 255) {
        if (left == 0 || bytes > room) return EINVAL
        more = load<u8>(src++)
        left--
        bytes += more
      }
    }
    bytes += MIN_MATCH
    if (bytes > room) return EINVAL
    repeat(out, distance, bytes, room)
    out += bytes
    room -= bytes
  }
  return EINVAL
}
