import { readFile, writeFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { MAX_CONFIG_BYTES, MAX_PAYLOAD_BYTES } from '../../../src/format/section.ts'
import { MAX_MEMORY_BYTES, MAX_REGIONS, Tag, tagName } from '../../../src/format/index.ts'
import { saveDevice, tickDevice } from '../../golden/golden-streams.ts'
import { hex } from '../../support/hex.ts'
import { readIndependently } from '../../support/independent-reader.ts'
import { takeApart } from '../../support/stream-builder.ts'

const README = new URL('../../../src/format/README.md', import.meta.url)
const DUMP = /(<!-- dump -->\n)[^]*?(<!-- \/dump -->)/

type Row = readonly [byteLength: number, meaning: string]

const HEADER_ROWS: readonly Row[] = [
  [8, 'magic'],
  [2, 'format version 1'],
  [2, 'header length 128'],
  [4, 'flags: checked, XXH3-64'],
  [4, 'page bytes 4096'],
  [4, 'device version 1'],
  [8, 'fingerprint: XXH3-64 of the CONFIG payload'],
  [48, 'device type "tick"'],
  [40, 'reserved'],
  [8, 'checksum of bytes 0 to 119'],
]

function sectionRows(name: string, sequence: number, payload: readonly Row[]): Row[] {
  const payloadBytes = payload.reduce((total, [byteLength]) => total + byteLength, 0)
  return [
    [2, `tag ${name}`],
    [2, 'flags: MANDATORY'],
    [4, `sequence number ${sequence}`],
    [4, `payload bytes ${payloadBytes}`],
    [4, 'region'],
    [8, 'first'],
    [8, 'payload checksum'],
    [8, 'header checksum'],
    ...payload,
  ]
}

const CONFIG_ROWS: readonly Row[] = [
  [2, '2 entries'],
  [2, 'a name of 11 bytes'],
  [11, '"state.bytes"'],
  [1, 'an integer'],
  [8, '4'],
  [2, 'a name of 12 bytes'],
  [12, '"state.layout"'],
  [1, 'an integer'],
  [8, 'stands for the layout "ticks, unsigned, 32 bits"'],
]

/** Lines of up to 8 bytes; the meaning beside the first. */
function dump(stream: Uint8Array): string {
  const rows = [
    ...HEADER_ROWS,
    ...sectionRows('CONFIG', 0, CONFIG_ROWS),
    ...sectionRows('STATE', 1, [[4, 'ticks = 0x01020304']]),
    ...sectionRows('END', 2, [
      [8, '2 sections'],
      [8, '51 payload bytes'],
      [8, 'digest'],
    ]),
  ]
  const lines: string[] = []
  let at = 0
  for (const [byteLength, meaning] of rows) {
    const end = at + byteLength
    // Bytes that are all alike take one line.
    const isFiller = byteLength > 16 && stream.subarray(at, end).every((byte) => byte === 0)
    for (let from = at; from < end; from += isFiller ? byteLength : 8) {
      const shown =
        hex(stream.subarray(from, Math.min(from + 8, end))) + (isFiller ? ` ... (${byteLength})` : '')
      lines.push(`${String(from).padStart(3)}  ${shown.padEnd(36)}${from === at ? meaning : ''}`.trimEnd())
    }
    at = end
  }
  expect(at).toBe(stream.length)
  return lines.join('\n')
}

it('the dump in the specification is what the device sends', async () => {
  const readme = await readFile(README, 'utf8')
  const block = `$1\n\`\`\`text\n${dump(await saveDevice(tickDevice()))}\n\`\`\`\n\n$2`
  const expected = readme.replace(DUMP, block)
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(README, expected)
  expect(await readFile(README, 'utf8')).toBe(expected)
})

it('the dump can be read back from the specification', async () => {
  const readme = await readFile(README, 'utf8')
  const text = DUMP.exec(readme)?.[0] ?? ''
  const bytes: number[] = []
  for (const [, offset, digits, filler] of text.matchAll(
    /^ *(\d+) {2}((?:[0-9a-f]{2} ?)+)(?:\.\.\. \((\d+)\))?/gm,
  )) {
    expect(bytes.length).toBe(Number(offset))
    bytes.push(
      ...(digits as string)
        .trim()
        .split(' ')
        .map((pair) => Number.parseInt(pair, 16)),
    )
    for (let more = 8; more < Number(filler ?? 0); more++) bytes.push(0)
  }
  const stream = Uint8Array.from(bytes)
  expect(stream).toEqual(await saveDevice(tickDevice()))
  expect(takeApart(stream).sections.map(({ tag }) => tagName(tag))).toEqual(['CONFIG', 'STATE'])
  expect(readIndependently(stream).state).toEqual(Uint8Array.of(4, 3, 2, 1))
})

function english(value: number): string {
  return value.toLocaleString('en-US')
}

it('the specification states the limits and tags that the code has', async () => {
  const readme = await readFile(README, 'utf8')
  expect(readme).toContain(`0 to ${english(MAX_PAYLOAD_BYTES)}; CONFIG at most ${english(MAX_CONFIG_BYTES)}`)
  expect(readme).toContain(
    `At most ${MAX_REGIONS} regions, and at most 2^${Math.log2(MAX_MEMORY_BYTES)} bytes`,
  )
  for (const [name, tag] of Object.entries(Tag))
    expect(readme).toMatch(new RegExp(`\\| ${tag} +\\| ${name} +\\|`))
})
