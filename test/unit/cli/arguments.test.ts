import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import { originOption } from '../../../src/cli/arguments.ts'

function parse(text: string, before?: readonly string[]): unknown {
  return originOption().parseArg?.(text, before as never)
}

describe('--allow-origin', () => {
  it.each([
    ['https://example.org', 'https://example.org'],
    ['https://example.org/', 'https://example.org'],
    ['https://example.org:443', 'https://example.org'],
    ['http://127.0.0.1:80/', 'http://127.0.0.1'],
    ['http://127.0.0.1:4280', 'http://127.0.0.1:4280'],
    ['HTTPS://Example.org:0443', 'https://example.org'],
    ['http://[::1]:80', 'http://[::1]'],
    ['https://b\u00fccher.example', 'https://xn--bcher-kva.example'],
  ])('takes %s as the %s that a browser says', (text, origin) => {
    expect(parse(text)).toEqual([origin])
    expect(parse(text, ['http://a'])).toEqual(['http://a', origin])
  })

  it.each([
    'example.org',
    'example.org:443',
    'null',
    '*',
    'https://',
    'https://example.org/a',
    'https://example.org/?',
    'https://example.org?a',
    'https://example.org#a',
    'https://me@example.org',
    'https://me:secret@example.org',
    'https://example.org:99999',
    'file:///a',
    'blob:https://example.org',
    'data:,',
  ])('refuses %s', (text) => {
    expect(() => parse(text)).toThrow(InvalidArgumentError)
    expect(() => parse(text)).toThrow(/it is no origin, write one such as /)
  })
})
