import { describe, expect, it } from 'vitest'
import {
  DmaLoggingControl,
  DmaLoggingRange,
  checkDmaLoggingReport,
  checkDmaLoggingStart,
  dmaBitmapByteLength,
  readDmaLoggingStart,
} from '../../../src/uapi/index.ts'
import { outcome } from '../../support/vfio-error.ts'

const PAGE = 4096n
const TOP = 1n << 64n
const RANGES_AT = 64

function range(iova: bigint, length: bigint): DmaLoggingRange {
  return { iova, length }
}

/** Memory with a control at 0 and the ranges at 64, cut to `byteLength`. */
function startMemory(pageSize: bigint, ranges: DmaLoggingRange[], byteLength?: number): Uint8Array {
  const memory = new Uint8Array(RANGES_AT + 16 * ranges.length)
  DmaLoggingControl.encodeInto(memory, 0, {
    pageSize,
    numRanges: ranges.length,
    reserved: 0xdead_beef,
    ranges: BigInt(RANGES_AT),
  })
  for (const [index, value] of ranges.entries())
    DmaLoggingRange.encodeInto(memory, RANGES_AT + 16 * index, value)
  return memory.subarray(0, byteLength)
}

/** The outcome of a START, which must be the same from bytes and typed. */
function start(pageSize: bigint, ranges: DmaLoggingRange[]): string {
  const typed = outcome(() => checkDmaLoggingStart({ pageSize, ranges }))
  expect(outcome(() => readDmaLoggingStart(startMemory(pageSize, ranges), 0))).toBe(typed)
  return typed
}

function pages(count: number): DmaLoggingRange[] {
  return Array.from({ length: count }, (_, index) => range(BigInt(index) * PAGE, PAGE))
}

function report(iova: bigint, length: bigint, pageSize: bigint): string {
  return outcome(() => checkDmaLoggingReport({ iova, length, pageSize }))
}

describe('DMA_LOGGING_START', () => {
  it('A.6 returns what the caller wrote and does not check the reserved field', () => {
    const ranges = [range(0x10_000n, PAGE), range(0n, 2n * PAGE)]
    expect(readDmaLoggingStart(startMemory(PAGE, ranges), 0)).toEqual({ pageSize: PAGE, ranges })
  })

  it('A.6 step 2: no ranges is EINVAL, 256 are accepted, 257 are E2BIG', () => {
    expect(start(PAGE, [])).toBe('EINVAL')
    expect(start(PAGE, pages(256))).toBe('ok')
    expect(start(PAGE, pages(257))).toBe('E2BIG')
  })

  it('A.6 step 2 comes before step 3: too many ranges are E2BIG with unreadable ranges and page size 0', () => {
    expect(outcome(() => readDmaLoggingStart(startMemory(0n, pages(257), 24), 0))).toBe('E2BIG')
  })

  it('F: page size 0 or no power of two is EINVAL, any power of two is accepted', () => {
    expect(start(0n, [range(0n, 0n)])).toBe('EINVAL')
    expect(start(12_288n, [range(0n, 12_288n)])).toBe('EINVAL')
    expect(start(1n, [range(3n, 5n)])).toBe('ok')
    expect(start(1n << 63n, [range(0n, 1n << 63n)])).toBe('ok')
  })

  it('F: a range of length 0 is EINVAL', () => {
    expect(start(PAGE, [range(PAGE, 0n)])).toBe('EINVAL')
  })

  it('A.6 step 3: iova and length must be multiples of the page size', () => {
    expect(start(PAGE, [range(1n, PAGE)])).toBe('EINVAL')
    expect(start(PAGE, [range(0n, PAGE + 1n)])).toBe('EINVAL')
    expect(start(2n * PAGE, [range(PAGE, 2n * PAGE)])).toBe('EINVAL')
  })

  it('A.6 step 3: an end of exactly 2^64 or above is EOVERFLOW, one page less is accepted', () => {
    expect(start(PAGE, [range(TOP - 2n * PAGE, PAGE)])).toBe('ok')
    expect(start(PAGE, [range(TOP - PAGE, PAGE)])).toBe('EOVERFLOW')
    expect(start(PAGE, [range(TOP - PAGE, 2n * PAGE)])).toBe('EOVERFLOW')
  })

  it('A.6 step 3: overlapping ranges are EINVAL, touching ones are accepted, in any order', () => {
    expect(start(PAGE, [range(0n, 2n * PAGE), range(PAGE, PAGE)])).toBe('EINVAL')
    expect(start(PAGE, [range(PAGE, PAGE), range(0n, 4n * PAGE)])).toBe('EINVAL')
    expect(start(PAGE, [range(PAGE, PAGE), range(PAGE, PAGE)])).toBe('EINVAL')
    expect(start(PAGE, [range(2n * PAGE, PAGE), range(PAGE, PAGE), range(0n, PAGE)])).toBe('ok')
  })

  it('A.6 step 3: misalignment is found before overflow, overflow before overlap', () => {
    expect(start(PAGE, [range(TOP - 1n, PAGE)])).toBe('EINVAL')
    expect(start(PAGE, [range(TOP - 4n * PAGE, 2n * PAGE), range(TOP - 3n * PAGE, 4n * PAGE)])).toBe(
      'EOVERFLOW',
    )
  })

  it('A.6 step 3: ranges are read one by one, so a bad one is reported before an unreadable one', () => {
    const ranges = [range(1n, PAGE), range(0n, PAGE)]
    expect(outcome(() => readDmaLoggingStart(startMemory(PAGE, ranges, RANGES_AT + 16), 0))).toBe('EINVAL')
    expect(outcome(() => readDmaLoggingStart(startMemory(PAGE, pages(2), RANGES_AT + 31), 0))).toBe('EFAULT')
  })

  it('A.6 step 1: an unreadable control is EFAULT, a ranges pointer beyond 2^53 too', () => {
    expect(outcome(() => readDmaLoggingStart(new Uint8Array(23), 0))).toBe('EFAULT')
    const control = DmaLoggingControl.encode({ pageSize: PAGE, numRanges: 1, reserved: 0, ranges: TOP - 8n })
    expect(outcome(() => readDmaLoggingStart(control, 0))).toBe('EFAULT')
  })

  it('a typed call with a negative address or length is EINVAL', () => {
    expect(outcome(() => checkDmaLoggingStart({ pageSize: PAGE, ranges: [range(-PAGE, PAGE)] }))).toBe(
      'EINVAL',
    )
    expect(outcome(() => checkDmaLoggingStart({ pageSize: PAGE, ranges: [range(PAGE, -PAGE)] }))).toBe(
      'EINVAL',
    )
  })
})

describe('DMA_LOGGING_REPORT', () => {
  it('A.6 page size below 4096 or no power of two is EINVAL', () => {
    for (const pageSize of [0n, 1n, 2048n, 4095n, 4097n, 12_288n])
      expect(report(0n, PAGE, pageSize)).toBe('EINVAL')
    for (const pageSize of [4096n, 8192n, 1n << 30n]) expect(report(0n, PAGE, pageSize)).toBe('ok')
  })

  it('A.6 a range that reaches 2^64 is EOVERFLOW, after the page size', () => {
    expect(report(TOP - PAGE, PAGE - 1n, PAGE)).toBe('ok')
    expect(report(TOP - PAGE, PAGE, PAGE)).toBe('EOVERFLOW')
    expect(report(TOP - PAGE, PAGE, 1n)).toBe('EINVAL')
  })

  it('A.6 alignment and length are not looked at here', () => {
    expect(report(1n, 5n, PAGE)).toBe('ok')
    expect(report(0n, 0n, PAGE)).toBe('ok')
  })

  it.each([
    [0n, PAGE, 0],
    [1n, PAGE, 8],
    [64n * PAGE, PAGE, 8],
    [64n * PAGE + 1n, PAGE, 16],
    [1n << 30n, PAGE, 32_768],
    [1n << 30n, 1n << 21n, 64],
    [TOP - 1n, PAGE, 2 ** 49],
  ])('A.6 the bitmap of %d bytes in pages of %d has %d bytes', (length, pageSize, expected) => {
    expect(dmaBitmapByteLength(length, pageSize)).toBe(expected)
  })
})
