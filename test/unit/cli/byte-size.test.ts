import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRate,
  formatTransfer,
  parseByteSize,
} from '../../../src/cli/byte-size.ts'

describe('parseByteSize', () => {
  it.each([
    ['0', 0],
    ['4096', 4096],
    ['7B', 7],
    ['64KiB', 65_536],
    ['64kib', 65_536],
    ['64 KiB', 65_536],
    ['1.5GiB', 1_610_612_736],
    ['256MB', 256_000_000],
    ['0.1GB', 100_000_000],
    ['0.5KiB', 512],
    ['2kB', 2000],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseByteSize(text)).toBe(bytes)
  })

  it.each([
    ['', 'it is no size'],
    ['much', 'it is no size'],
    ['-1', 'it is no size'],
    ['1e3', 'it is no size'],
    ['0x10', 'it is no size'],
    ['.5GiB', 'it is no size'],
    ['1TB', 'there is no unit "TB"'],
    ['64K', 'there is no unit "K"'],
    ['1.3KiB', 'it is no whole number of bytes'],
    ['0.5', 'it is no whole number of bytes'],
    ['9007199254740992', 'it is too large'],
    ['8388608GiB', 'it is too large'],
  ])('refuses %j: %s', (text, reason) => {
    expect(() => parseByteSize(text)).toThrow(
      new RangeError(`Cannot read size "${text}": ${reason}, use one such as 4096, 64KiB, 1.5GiB or 256MB`),
    )
  })
})

describe('sizes, times and rates for people', () => {
  it('are exact where they are small and have three digits where they are not', () => {
    expect([0, 4097, 9999, 10_000, 65_536, 67_108_867].map(formatBytes)).toEqual([
      '0 B',
      '4,097 B',
      '9,999 B',
      '9.8 KiB',
      '64 KiB',
      '64 MiB',
    ])
    expect([1.5 * 1024 ** 3, 4 * 1024 ** 3, 1023 * 1024 ** 2].map(formatBytes)).toEqual([
      '1.5 GiB',
      '4 GiB',
      '1023 MiB',
    ])
    expect(formatCount(1_234_567)).toBe('1,234,567')
    expect([0.04, 9.9, 83.4, 999.4, 1240, 125_000].map(formatDuration)).toEqual([
      '0.0 ms',
      '9.9 ms',
      '83 ms',
      '999 ms',
      '1.24 s',
      '2 min 5 s',
    ])
    expect(formatRate(1_610_612_736, 1000)).toBe('1,611 MB/s')
    expect(formatRate(5_000_000, 1000)).toBe('5.0 MB/s')
    expect([formatRate(0, 5), formatRate(10, 0.2)]).toEqual(['-', '-'])
  })

  it('tell no rate of what is over at once', () => {
    expect(formatTransfer(386, 9.7)).toBe('386 bytes in 9.7 ms')
    expect(formatTransfer(5_003_255, 24)).toBe('5,003,255 bytes (4.8 MiB) in 24 ms, 208 MB/s')
  })
})
