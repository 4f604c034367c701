/** Signals and readers that go away: nothing half-written stays. @module */

import { once } from 'node:events'
import { readdirSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { start, temporaryDirectory } from './command.ts'
import { bulkStream } from './stream-bytes.ts'

/** Settles once a file appears in the directory. */
async function appearance(directory: string): Promise<string> {
  const watcher = watch(directory)
  const [, name] = (await once(watcher, 'change')) as [string, string]
  watcher.close()
  return name
}

describe('a signal', () => {
  it('SIGINT during a long save: exit code 130, one line, no file', { timeout: 60_000 }, async () => {
    const directory = temporaryDirectory()
    const appeared = appearance(directory)
    const { child, finished } = start(['save', 'bulk:size=512MiB', '-o', join(directory, 'out')])
    expect(await appeared).toMatch(/^\.out\.[0-9a-f]+\.tmp$/)
    child.kill('SIGINT')
    const { code, stdout, stderr } = await finished
    expect({ code, stdout, stderr }).toEqual({
      code: 130,
      stdout: '',
      stderr: 'stopcopy: interrupted by SIGINT\n',
    })
    expect(readdirSync(directory)).toEqual([])
  })

  it('SIGTERM while a restore waits for stdin: exit code 143, its twin as JSON, no file', async () => {
    const directory = temporaryDirectory()
    const stream = await bulkStream(300_000, 3)
    const appeared = appearance(directory)
    const { child, finished } = start([
      'restore',
      'bulk',
      '-',
      '--memory-out',
      join(directory, 'copy'),
      '--json',
    ])
    child.stdin?.on('error', () => {})
    child.stdin?.write(stream.subarray(0, 100_000))
    expect(await appeared).toMatch(/^\.copy\.[0-9a-f]+\.tmp$/)
    child.kill('SIGTERM')
    const { code, stdout, stderr } = await finished
    expect({ code, stderr }).toEqual({ code: 143, stderr: 'stopcopy: interrupted by SIGTERM\n' })
    expect(JSON.parse(stdout)).toEqual({
      error: { code: 'EINTR', errno: -4, message: 'interrupted by SIGTERM' },
    })
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('a reader that stops reading', () => {
  it('of a saved stream: exit code 1 and not a word', async () => {
    const { child, finished } = start(['save', 'bulk:size=1MiB', '-o', '-'])
    child.stdout?.once('data', () => child.stdout?.destroy())
    expect(await finished).toMatchObject({ code: 1, stderr: '' })
  })

  it('of text: exit code 0 and not a word', async () => {
    const out = join(temporaryDirectory(), 'out')
    writeFileSync(out, await bulkStream(100_000, 3))
    const { child, finished } = start(['inspect', out, '--json'])
    child.stdout?.destroy()
    expect(await finished).toMatchObject({ code: 0, stderr: '' })
  })
})
