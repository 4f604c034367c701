/** Damaged files through the command: exit code 1, one line, nothing left behind. @module */

import { readdirSync, readFileSync, truncateSync, appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { stopcopy, temporaryDirectory } from './command.ts'
import { bulkStream, flip, mttyStream, randomNumbers } from './stream-bytes.ts'

/** One line that names a section of the stream and its offset. */
const ONE_LINE =
  /^stopcopy: Cannot [^\n]*(?:section \d+ \([A-Z]+\)|section \d+ \(header\)|the stream header|the end) at offset \d+[^\n]*\n$/

/** Runs both commands on damaged bytes in an empty directory. */
async function expectRefusal(
  type: string,
  bytes: Uint8Array,
  damage = (_path: string): void => {},
): Promise<void> {
  const directory = temporaryDirectory()
  const out = join(directory, 'out')
  writeFileSync(out, bytes)
  damage(out)
  const copy = join(directory, 'copy')
  const memoryOut = type === 'bulk' ? ['--memory-out', copy] : []
  const [verified, restored] = await Promise.all([
    stopcopy(['verify', out]),
    stopcopy(['restore', type, out, ...memoryOut]),
  ])
  for (const { code, stdout, stderr } of [verified, restored]) {
    expect(stderr).toMatch(ONE_LINE)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  }
  expect(readdirSync(directory)).toEqual(['out'])
}

describe('verify and restore of a damaged file', { timeout: 60_000 }, () => {
  const streams: Record<string, Uint8Array> = {}
  beforeAll(async () => {
    streams['bulk'] = await bulkStream(4097, 3)
    streams['mtty'] = await mttyStream()
    streams['large'] = await bulkStream(64 * 1024 * 1024 + 3, 4)
  })

  const random = randomNumbers(0xb175)
  const places = Array.from(
    { length: 25 },
    (_, index) => [index % 5 === 0 ? 'mtty' : 'bulk', random(2 ** 31) / 2 ** 31] as const,
  )

  it.each(places)('refuse a flipped bit of a small %s stream at %d of its length', async (type, place) => {
    const bytes = Uint8Array.from(streams[type] as Uint8Array)
    flip(bytes, Math.floor(place * bytes.length * 8))
    await expectRefusal(type, bytes)
  })

  it.each([0.02, 0.5, 0.99])('refuse a flipped bit of 64 MiB + 3 at %d of its length', async (place) => {
    const bytes = Uint8Array.from(streams['large'] as Uint8Array)
    flip(bytes, Math.floor(place * bytes.length * 8))
    await expectRefusal('bulk', bytes)
  })

  it.each(['mtty', 'bulk'])('refuse a truncated and an extended %s stream', async (type) => {
    const bytes = streams[type] as Uint8Array
    for (const length of [0, 128, bytes.length - 1])
      await expectRefusal(type, bytes, (out) => truncateSync(out, length))
    await expectRefusal(type, bytes, (out) => appendFileSync(out, Uint8Array.of(0)))
  })

  it('keep the file that has the name of the output', async () => {
    const directory = temporaryDirectory()
    const [out, copy] = [join(directory, 'out'), join(directory, 'copy')]
    const bytes = Uint8Array.from(streams['bulk'] as Uint8Array)
    flip(bytes, 8 * 5000)
    writeFileSync(out, bytes)
    writeFileSync(copy, 'precious')
    expect((await stopcopy(['restore', 'bulk', out, '--memory-out', copy])).code).toBe(1)
    expect(readFileSync(copy, 'utf8')).toBe('precious')
    expect(readdirSync(directory).sort()).toEqual(['copy', 'out'])
  })
})
