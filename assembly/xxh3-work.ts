/**
 * What the loop over stripes does besides adding them. One source for three loops: the compiler sees the
 * type, so each has only the code it needs.
 *
 * Both copies read ahead, since the loop has time while memory has not answered. What they read is summed
 * and kept in scratch; it is of no use but that no compiler can leave the reads out.
 *
 * @module
 */

/** Nothing else. */
export type HashOnly = u8
/** Copies, and reads TOUCH_AHEAD_BYTES past its writes, so that those lines are there to be written. */
export type CopyStream = u16
/** Copies, and reads as many bytes at `ahead`: what will be copied next. */
export type CopyThenNext = u32

/**
 * How far past its writes CopyStream reads: what one turn of a stream writes. Without, 64 MiB take 1.15
 * times as long.
 */
export const TOUCH_AHEAD_BYTES: usize = 512

/** True for the works that copy; known to the compiler. */
export function copies<Work>(): bool {
  return sizeof<Work>() != sizeof<HashOnly>()
}

/** True for CopyThenNext; known to the compiler. */
export function readsNext<Work>(): bool {
  return sizeof<Work>() == sizeof<CopyThenNext>()
}
