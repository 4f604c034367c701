import { describe, expect, it } from 'vitest'
import { parseByteRate } from '../../../src/cli/byte-size.ts'
import { parseDuration } from '../../../src/cli/duration.ts'

describe('parseDuration()', () => {
  it.each([
    ['50ms', 50],
    ['2s', 2000],
    ['0.25 s', 250],
    ['1.5min', 90_000],
    ['1H', 3_600_000],
    ['0', 0],
    [' 7MS ', 7],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each([
    ['50', 'it has no unit'],
    ['', 'it is no time'],
    ['-1s', 'it is no time'],
    ['1e3s', 'it is no time'],
    ['5 parsecs', 'there is no unit "parsecs"'],
  ])('refuses "%s"', (text, reason) => {
    expect(() => parseDuration(text)).toThrow(`Cannot read time "${text}": ${reason}, use one such as`)
  })
})

describe('parseByteRate()', () => {
  it.each([
    ['1GB/s', 1e9],
    ['100 MiB / s', 100 * 1024 ** 2],
    ['5kb/sec', 5000],
    ['1234', 1234],
  ])('reads %s', (text, rate) => {
    expect(parseByteRate(text)).toBe(rate)
  })

  it('refuses 0, which moves nothing, and what is no size', () => {
    expect(() => parseByteRate('0/s')).toThrow(/nothing would move/)
    expect(() => parseByteRate('1GB/min')).toThrow(/it is no size/)
  })
})
