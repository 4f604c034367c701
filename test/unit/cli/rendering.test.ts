import pc from 'picocolors'
import { describe, expect, it } from 'vitest'
import { failureLine, failureOf, UsageError } from '../../../src/cli/failure.ts'
import { toJson } from '../../../src/cli/json-output.ts'
import { streamLines } from '../../../src/cli/stream-text.ts'
import { table, wrap } from '../../../src/cli/table.ts'
import { VfioError } from '../../../src/errors.ts'
import type { StreamReport } from '../../../src/migrate/index.ts'

const PLAIN = pc.createColors(false)

describe('table', () => {
  it('aligns columns and leaves no trailing blanks', () => {
    const rows = [
      ['tag', 'bytes', 'holds'],
      ['PAGES', '1,000', 'memory'],
      ['END', '24', ''],
    ]
    expect(table(rows, { align: ['left', 'right'] })).toEqual([
      '  tag    bytes  holds',
      '  PAGES  1,000  memory',
      '  END       24',
    ])
  })

  it('paints the heading without moving anything', () => {
    const rows = [
      ['a', 'b'],
      ['longer', 'c'],
    ]
    expect(table(rows, { heading: (text) => `<${text}>`, indent: 0 })).toEqual(['<a       b>', 'longer  c'])
  })
})

describe('wrap', () => {
  it('breaks at blanks and indents what follows', () => {
    expect(wrap('  one two three four', 11, 4)).toEqual(['  one two', '    three', '    four'])
  })

  it('leaves lines that fit and words that never will', () => {
    expect(wrap('one two', 7)).toEqual(['one two'])
    expect(wrap('  incomprehensibilities', 10, 2)).toEqual(['  incomprehensibilities'])
    expect(wrap('a incomprehensibilities b', 10, 2)).toEqual(['a', '  incomprehensibilities', '  b'])
  })
})

describe('toJson', () => {
  it('writes bigints as decimal strings and bytes as hex', () => {
    expect(JSON.parse(toJson({ big: 2n ** 64n - 1n, bytes: Uint8Array.of(0, 255), deep: [1n] }))).toEqual({
      big: '18446744073709551615',
      bytes: '00ff',
      deep: ['1'],
    })
  })

  it('escapes what a terminal would obey, and means the same', () => {
    const value = { text: '\u001b[2J\u007f\u009b1m\u202e\u2028\u{e0041}ä😀' }
    const json = toJson(value, 0)
    expect(json).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    expect(json).toContain('ä😀')
    expect(JSON.parse(json)).toEqual(value)
  })
})

describe('failureOf', () => {
  it('keeps section and offset, and the line names them though the message did not', () => {
    const failure = failureOf(
      new VfioError('EBADMSG', 'Cannot read: torn', { section: 'section 3 (PAGES)', offset: 7 }),
    )
    expect(failure).toEqual({
      code: 'EBADMSG',
      errno: -74,
      message: 'Cannot read: torn [section 3 (PAGES) at offset 7]',
      section: 'section 3 (PAGES)',
      offset: 7,
    })
    expect(failureLine(failure)).toBe('stopcopy: Cannot read: torn [section 3 (PAGES) at offset 7] (EBADMSG)')
  })

  it('is one line whatever the message, and says a code once', () => {
    const failure = failureOf(new VfioError('ENOENT', 'Cannot open: ENOENT:\n  no such file, see the cause'))
    expect(failureLine(failure)).toBe('stopcopy: Cannot open: ENOENT: no such file')
  })

  it('is plain and bounded, whoever worded it', () => {
    const steering = 'a "\u001b[2J\u001b]0;pwned\u0007x\u009b1m\u202e\u2028\u200bb\ud800"'
    const { message, section } = failureOf(
      new VfioError('EINVAL', steering, { section: 'section\u001b[31m 1', offset: 7 }),
    )
    expect(message).toBe('a " [2J ]0;pwned x 1m b " [section [31m 1 at offset 7]')
    expect(section).toBe('section [31m 1')
    expect(failureOf(new Error('x'.repeat(1e6))).message).toMatch(/^x{2000} \.\.\.$/)
  })

  it('knows errors of the system, of usage and of no kind at all', () => {
    const system = Object.assign(new Error('EISDIR: is a directory'), { code: 'EISDIR', errno: -21 })
    const wrapped = new VfioError('UNKNOWN', 'Cannot read', { cause: system, errno: -21 })
    expect(failureOf(system)).toMatchObject({ code: 'EISDIR', errno: -21 })
    expect(failureOf(wrapped)).toMatchObject({ code: 'EISDIR', errno: -21, message: 'Cannot read' })
    expect(failureOf(new UsageError('no'))).toMatchObject({ code: 'EINVAL', errno: -22 })
    expect(failureOf('thrown')).toEqual({ code: 'UNKNOWN', errno: 0, message: 'thrown' })
  })
})

describe('streamLines', () => {
  const report: StreamReport = {
    verified: false,
    bytes: 9000,
    header: {
      formatVersion: 1,
      opaque: false,
      checksum: 'xxh3',
      deviceType: 'bulk',
      deviceVersion: 1,
      fingerprint: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 255),
    },
    configuration: { 'memory.0.bytes': 8192, 'memory.0.name': 'a\u001b[2J\u009b\u202e' },
    regions: [{ name: 'local', byteLength: 8192, dataPages: 1, zeroPages: 1 }],
    tags: { CONFIG: { sections: 1, payloadBytes: 50 }, PAGES: { sections: 1, payloadBytes: 4096 } },
    sections: [
      { sequence: 0, tag: 'CONFIG', offset: 128, payloadBytes: 50 },
      { sequence: 1, tag: 'PAGES', offset: 218, payloadBytes: 4096, region: 0, first: 0, pageCount: 1 },
    ],
    truncated: false,
    sectionCount: 12,
  }

  it('shows header, configuration, memory, sections and how many more there are', () => {
    const lines = streamLines(report, PLAIN)
    expect(lines).toContain('  fingerprint  01020304050607ff')
    expect(lines).toContain('  local   8,192 B               1                   1')
    expect(lines).toContain('    1     218  PAGES           4,096  local page 0')
    expect(lines).toContain('  and 10 more')
    expect(lines.filter((line) => line.length > 80)).toEqual([])
  })

  it('lets no text of the stream steer the terminal', () => {
    const text = streamLines(
      {
        ...report,
        header: { ...report.header, deviceType: 'bu\u001blk' },
        configuration: { ...report.configuration, 'op\u009btion': 1 },
      },
      PLAIN,
    ).join('\n')
    expect(text.split('\n').join('')).toMatch(/^[\u0020-\u007e]+$/)
    for (const told of [String.raw`a\u001b[2J\u009b\u202e`, String.raw`bu\u001blk`, String.raw`op\u009btion`])
      expect(text).toContain(told)
  })
})
