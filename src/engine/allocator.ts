/**
 * The host's allocator over the engine's memory: first fit over a sorted list of free ranges that
 * coalesce. Kernels allocate nothing, and a lost range is a bug of the owner, so there is no header
 * in memory to be overwritten and no growth.
 *
 * Fresh memory is zero and costs no physical page until it is touched, so it is handed out as it is;
 * only bytes below the highest address ever handed out are cleared.
 *
 * @module
 */

import { VfioError } from '../errors.ts'

/** Allocations of an {@link Engine}. */
export interface Allocator {
  /** Bytes allocated now, without the gaps alignment leaves. */
  readonly allocatedBytes: number
  /** How many ranges are free: 1 when nothing is allocated. */
  readonly freeRangeCount: number
  /**
   * Takes `byteLength` zeroed bytes at a multiple of `alignment` (a power of two, default 16). 0 bytes
   * are pointer 0, which takes nothing and never fails. ENOMEM when they do not fit, nothing changed;
   * EINVAL for a length or alignment that is none.
   */
  allocate(byteLength: number, alignment?: number): number
  /** Gives back what `allocate` returned; 0 is accepted. EINVAL for any other pointer. */
  free(pointer: number): void
}

interface FreeRange {
  start: number
  end: number
}

/** An allocator over `bytes` from `start` to their end; `start` is above 0, the pointer of nothing. */
export function createAllocator(bytes: Uint8Array, start: number): Allocator {
  const free: FreeRange[] = start < bytes.length ? [{ start, end: bytes.length }] : []
  const lengths = new Map<number, number>()
  let allocatedBytes = 0
  /** Bytes from here on were never handed out: still zero, still untouched. */
  let highWater = start

  return {
    get allocatedBytes() {
      return allocatedBytes
    },
    get freeRangeCount() {
      return free.length
    },

    allocate(byteLength, alignment = 16) {
      checkLength(byteLength)
      checkAlignment(alignment)
      if (byteLength === 0) return 0
      // A multiple of a power of two without bit operators, which end at 2^31.
      const alignUp = (address: number): number => Math.ceil(address / alignment) * alignment
      const index = free.findIndex((range) => alignUp(range.start) + byteLength <= range.end)
      const range = free[index]
      if (range === undefined) {
        throw new VfioError(
          'ENOMEM',
          `Cannot allocate ${byteLength} bytes: ${bytes.length - start - allocatedBytes} of ` +
            `${bytes.length - start} are free and no range is long enough, close devices or create an ` +
            'engine with more memoryBytes',
        )
      }
      const pointer = alignUp(range.start)
      const end = pointer + byteLength
      const rest: FreeRange[] = []
      if (range.start < pointer) rest.push({ start: range.start, end: pointer })
      if (end < range.end) rest.push({ start: end, end: range.end })
      free.splice(index, 1, ...rest)
      lengths.set(pointer, byteLength)
      allocatedBytes += byteLength
      if (pointer < highWater) bytes.fill(0, pointer, Math.min(end, highWater))
      highWater = Math.max(highWater, end)
      return pointer
    },

    free(pointer) {
      if (pointer === 0) return
      const byteLength = lengths.get(pointer)
      if (byteLength === undefined) {
        throw new VfioError(
          'EINVAL',
          `Cannot free ${pointer}: it is not allocated, free each pointer of allocate() once`,
        )
      }
      lengths.delete(pointer)
      allocatedBytes -= byteLength
      insertRange(free, pointer, pointer + byteLength)
    },
  }
}

/** Puts a range among the sorted free ones and joins it with neighbours it touches. */
function insertRange(free: FreeRange[], start: number, end: number): void {
  let low = 0
  let high = free.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((free[middle] as FreeRange).start < start) low = middle + 1
    else high = middle
  }
  const before = free[low - 1]
  const after = free[low]
  const joinsBefore = before?.end === start
  const joinsAfter = after?.start === end
  if (before !== undefined && joinsBefore) {
    before.end = after !== undefined && joinsAfter ? after.end : end
    if (joinsAfter) free.splice(low, 1)
  } else if (after !== undefined && joinsAfter) {
    after.start = start
  } else {
    free.splice(low, 0, { start, end })
  }
}

function checkLength(byteLength: number): void {
  if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
    throw new VfioError(
      'EINVAL',
      `Cannot allocate ${byteLength} bytes: the length is no whole number, pass one from 0 up`,
    )
  }
}

function checkAlignment(alignment: number): void {
  if (!(alignment >= 1 && alignment <= 2 ** 31) || !Number.isInteger(Math.log2(alignment))) {
    throw new VfioError(
      'EINVAL',
      `Cannot allocate at a multiple of ${alignment}: alignment must be a power of two, pass 1 to 2^31`,
    )
  }
}
