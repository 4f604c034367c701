import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeConfiguration } from '../../../src/format/configuration.ts'
import {
  type Configuration,
  configurationDifference,
  configurationFingerprint,
  encodeConfiguration,
} from '../../../src/format/index.ts'
import { hex } from '../../support/hex.ts'

describe('encodeConfiguration', () => {
  it('sorts names by their UTF-8 bytes and encodes each kind', () => {
    expect(hex(encodeConfiguration({ b: true, a: 258, é: 'x', B: 2n ** 64n - 1n, c: false }))).toBe(
      '05 00' +
        ' 01 00 42 00 ff ff ff ff ff ff ff ff' +
        ' 01 00 61 00 02 01 00 00 00 00 00 00' +
        ' 01 00 62 01 01' +
        ' 01 00 63 01 00' +
        ' 02 00 c3 a9 02 01 00 78',
    )
    expect(hex(encodeConfiguration({}))).toBe('00 00')
  })

  it.each<[string, Configuration, RegExp]>([
    ['a fraction', { a: 1.5 }, /"a" is 1.5, use an integer/],
    ['a negative number', { a: -1 }, /"a" is -1, use an integer/],
    ['2^64', { a: 2n ** 64n }, /"a" is 18446744073709551616, use an integer/],
    ['2^53 as a number', { a: 2 ** 53 }, /use an integer/],
    ['an empty name', { '': 1 }, /an option has an empty name/],
    ['a lone surrogate in a name', { '\ud800': 1 }, /lone surrogate/],
    ['a lone surrogate in a text', { a: '\udfff' }, /lone surrogate/],
    ['64 KiB of text', { a: 'x'.repeat(65_536) }, /"a" passes 65536 bytes in all/],
    [
      '10,000 options',
      Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`n${i}`, 1])),
      /passes 65536 bytes/,
    ],
  ])('refuses %s with EINVAL', (_, configuration, message) => {
    expect(() => encodeConfiguration(configuration)).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringMatching(message) as string }),
    )
  })

  it('is undone by decodeConfiguration, `__proto__` and byte order marks included', () => {
    const name = fc.oneof(
      fc.string({ minLength: 1, unit: 'grapheme' }),
      fc.constantFrom('__proto__', '\ufeffx', 'constructor'),
    )
    const value = fc.oneof(
      fc.maxSafeNat(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
      fc.boolean(),
      fc.string({ unit: 'grapheme' }),
      fc.constant('\ufefftext'),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 10 }), (entries) => {
        const configuration = Object.fromEntries(entries)
        const decoded = decodeConfiguration(encodeConfiguration(configuration))
        expect(new Map(Object.entries(decoded))).toEqual(new Map(Object.entries(configuration)))
        expect(configurationDifference(configuration, decoded)).toBeUndefined()
        expect(configurationFingerprint(decoded)).toEqual(configurationFingerprint(configuration))
      }),
      { numRuns: 200 },
    )
  })

  it('gives the same bytes for the same options in any order', () => {
    expect(encodeConfiguration({ a: 1, b: 2n, c: 'x' })).toEqual(encodeConfiguration({ c: 'x', b: 2, a: 1n }))
  })
})

describe('configurationDifference', () => {
  it.each<[Configuration, Configuration, string | undefined]>([
    [{ ports: 2 }, { ports: 1 }, 'ports is 2 here and 1 in the stream'],
    [{ ports: 2 }, {}, 'ports is 2 here and absent in the stream'],
    [{}, { mode: 'a"b' }, 'mode is absent here and "a\\"b" in the stream'],
    [{ a: true }, { a: 1 }, 'a is true here and 1 in the stream'],
    [{ a: '1' }, { a: 1 }, 'a is "1" here and 1 in the stream'],
    [{ b: 1, a: 1 }, { a: 2, b: 2 }, 'a is 1 here and 2 in the stream'],
    [{ a: 5 }, { a: 5n }, undefined],
    [{}, { toString: 1 }, 'toString is absent here and 1 in the stream'],
  ])('of %j and %s in words', (here, stream, words) => {
    expect(configurationDifference(here, stream)).toBe(words)
  })
})
