/** What each command prints and how it ends. @module */

import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stopcopy, temporaryDirectory } from './command.ts'
import { bulkStream, mttyStream } from './stream-bytes.ts'

const PACKAGE = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

async function json(...words: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await stopcopy([...words, '--json'])
  expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}

/** A refusal with `--json`: the code, one line on stderr that says so, and its twin on stdout. */
async function expectFailure(code: number, words: string[], line: RegExp): Promise<void> {
  const found = await stopcopy([...words, '--json'])
  expect(found.code).toBe(code)
  expect(found.stderr).toMatch(/^stopcopy: [^\n]+\n$/)
  expect(found.stderr).toMatch(line)
  const { error } = JSON.parse(found.stdout) as { error: { code: string; errno: number; message: string } }
  expect(error).toMatchObject({ code: expect.stringMatching(/^E[A-Z]+$/), errno: expect.any(Number) })
  expect(error.errno).toBeLessThan(0)
  expect(found.stderr).toContain(error.message)
}

describe('help and version', () => {
  it('--version is that of the package', async () => {
    expect(await stopcopy(['--version'])).toMatchObject({
      code: 0,
      stdout: `${PACKAGE.version}\n`,
      stderr: '',
    })
  })

  it.each(['demo', 'send', 'receive', 'resolve', 'save', 'restore', 'inspect', 'verify', 'path', 'explain'])(
    '%s --help has examples, in 80 columns',
    async (command) => {
      const { code, stdout, stderr } = await stopcopy([command, '--help'])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).toContain(`Usage: stopcopy ${command}`)
      expect(stdout).toContain(`$ stopcopy ${command} `.trimEnd())
      expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(80)
    },
  )

  it('--help lists the commands and the exit codes', async () => {
    const { code, stdout } = await stopcopy(['--help'])
    expect(code).toBe(0)
    for (const word of [
      'send',
      'receive',
      'resolve',
      'save',
      'restore',
      'inspect',
      'verify',
      'path',
      'explain',
      'demo',
      'Exit codes',
    ])
      expect(stdout).toContain(word)
  })
})

describe('wrong usage', () => {
  it.each([
    [['frobnicate'], /unknown command/],
    [['save', 'bulk'], /--output/],
    [['save', '-o', 'x'], /missing required argument 'device'/],
    [['save', 'floppy', '-o', 'x'], /there is no device "floppy"/],
    [['save', 'bulk:size=1.3KiB', '-o', 'x'], /no whole number of bytes/],
    [['save', 'mtty', '--memory', 'x', '-o', 'x'], /has none/],
    [['save', 'bulk:size=1', '--memory', 'x', '-o', 'x'], /come from the file/],
    [['save', 'mtty', '--compress', 'lz4', '-o', 'x'], /has none/],
    [['save', 'bulk', '--compress', 'zip', '-o', 'x'], /Allowed choices are none, lz4/],
    [['restore', 'mtty', 'x', '--memory-out', 'y'], /has none/],
    [['restore', 'bulk', 'x', '--memory-out', '-'], /stdout/],
    [['restore', 'bulk', 'x', '--max-memory', 'much'], /it is no size/],
    [['verify'], /missing required argument/],
    [['verify', 'x', 'y'], /too many arguments/],
    [['inspect', 'x', '--frob'], /unknown option/],
    [['path', 'FOO', 'RUNNING'], /there is no such state/],
    [['path', 'STOP', 'RUNNING', '--flags', 'fast'], /is no flag/],
  ])('%j is exit code 2', (words, line) => expectFailure(2, words, line))

  it('without --json there is the line and nothing else', async () => {
    expect(await stopcopy(['frobnicate'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: "stopcopy: unknown command 'frobnicate'; --help says how\n",
    })
    expect(await stopcopy(['verify', '/nonexistent/in'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^stopcopy: Cannot read "\/nonexistent\/in": no such file or folder[^\n]+\n$/,
      ),
    })
  })

  it('save -o - --json is exit code 2: stdout carries the stream', async () => {
    const { code, stderr } = await stopcopy(['save', 'mtty', '-o', '-', '--json'])
    expect(code).toBe(2)
    expect(stderr).toMatch(/^stopcopy: Cannot print JSON: [^\n]+\n$/)
  })
})

describe('refusals and failures', () => {
  it.each([
    [['verify', '/nonexistent/in'], /ENOENT/],
    [['inspect', '/nonexistent/in'], /ENOENT/],
    [['restore', 'bulk', '/nonexistent/in'], /ENOENT/],
    [['save', 'bulk', '--memory', '/nonexistent/in', '-o', 'x'], /ENOENT/],
    [['save', 'mtty', '-o', '/nonexistent/out'], /ENOENT/],
    [['verify', '/'], /EISDIR/],
    [['verify', '/dev/null'], /the stream header at offset 0/],
    [['path', 'ERROR', 'RUNNING'], /reset it first/],
    [['path', 'RUNNING', 'STOP', '--flags', '2'], /STOP_COPY \(1\) is missing/],
    [['explain', 'FROBNICATE'], /it has no meaning here/],
  ])('%j is exit code 1', (words, line) => expectFailure(1, words, line))

  it('a device of another type, a size that differs and too much memory are exit code 1', async () => {
    const directory = temporaryDirectory()
    const [bulk, mtty, copy] = ['bulk', 'mtty', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(bulk, await bulkStream(4097, 3))
    writeFileSync(mtty, await mttyStream())
    await expectFailure(1, ['restore', 'mtty', bulk], /device of type "bulk"/)
    await expectFailure(1, ['restore', 'bulk', mtty, '--memory-out', copy], /device of type "mtty"/)
    await expectFailure(1, ['restore', 'mtty:ports=1', mtty], /ports is 1 here and 2 in the stream/)
    await expectFailure(
      1,
      ['restore', 'bulk:size=4096', bulk, '--memory-out', copy],
      /section 0 \(CONFIG\) at offset 128/,
    )
    await expectFailure(
      1,
      ['restore', 'bulk', bulk, '--memory-out', copy, '--max-memory', '4096'],
      /EMSGSIZE/,
    )
    expect((await stopcopy(['restore', 'bulk', bulk, '--max-memory', '4097'])).code).toBe(0)
    expect(readdirSync(directory).sort()).toEqual(['bulk', 'mtty'])
  })

  it('--max-memory refuses before it allocates: a stream that only claims 3 GiB costs no memory', async () => {
    const directory = temporaryDirectory()
    const [image, out] = [join(directory, 'image'), join(directory, 'out')]
    writeFileSync(image, '')
    truncateSync(image, 1024 ** 3)
    expect((await stopcopy(['save', 'bulk', '--memory', image, '-o', out])).code).toBe(0)
    const { code, stderr, peakBytes } = await stopcopy(['restore', 'bulk', out, '--max-memory', '1023MiB'], {
      measure: true,
    })
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/1073741824 bytes passes/) })
    expect(peakBytes).toBeLessThan(150 * 1024 ** 2)
  })

  it('an output that is a directory is exit code 1 and left alone', async () => {
    const directory = temporaryDirectory()
    const out = join(directory, 'out')
    mkdirSync(out)
    await expectFailure(1, ['save', 'mtty', '-o', out], /no regular file/)
    await expectFailure(1, ['save', 'bulk', '--memory', out, '-o', join(directory, 'x')], /no regular file/)
    expect(readdirSync(directory)).toEqual(['out'])
  })
})

describe('what a machine reads', () => {
  it('save, inspect, verify and restore print one object each', async () => {
    const directory = temporaryDirectory()
    const [out, copy] = [join(directory, 'out'), join(directory, 'copy')]
    const device = { type: 'bulk', memoryBytes: 10_000 }
    expect(await json('save', 'bulk:size=10000', '-o', out)).toMatchObject({
      device,
      output: out,
      report: { bytes: readFileSync(out).length, state: 'STOP', owner: 'none' },
    })
    const stream = {
      input: out,
      bytes: readFileSync(out).length,
      header: { deviceType: 'bulk', formatVersion: 1, fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) },
      configuration: { 'memory.0.bytes': 10_000, 'state.layout': expect.stringMatching(/^\d+$/) },
      regions: [{ name: 'local', byteLength: 10_000, dataPages: 3, zeroPages: 0 }],
      sections: expect.arrayContaining([expect.objectContaining({ tag: 'PAGES', pageCount: 3 })]),
    }
    expect(await json('inspect', out)).toMatchObject({ ...stream, verified: false })
    expect(await json('verify', out)).toMatchObject({
      ...stream,
      verified: true,
      elapsedMs: expect.any(Number),
    })
    expect(await json('restore', 'bulk', out, '--memory-out', copy)).toMatchObject({
      device,
      input: out,
      memoryOut: copy,
      report: { bytes: readFileSync(out).length, state: 'STOP', owner: 'none' },
    })
  })

  it('a refused stream says section and offset', async () => {
    const out = join(temporaryDirectory(), 'out')
    const bytes = await mttyStream()
    writeFileSync(out, bytes.subarray(0, 200))
    const { code, stdout } = await stopcopy(['verify', out, '--json'])
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'EINVAL',
        errno: -22,
        message: expect.stringContaining('the stream is cut short at byte 200'),
        section: expect.stringMatching(/^section 1/),
        offset: expect.any(Number),
      },
    })
  })

  it('path and explain print what people read, as data', async () => {
    const path = await json('path', 'running', 'stop-copy', '--flags', 'stop-copy,p2p')
    expect(path).toMatchObject({ from: 'RUNNING', to: 'STOP_COPY', flags: 3, returnsFd: true })
    expect(await json('explain', '-22')).toMatchObject({
      answers: [{ kind: 'errno', title: 'errno 22 is EINVAL' }],
    })
    expect(await json('explain', '-ENOMSG')).toMatchObject({ answers: [{ title: 'errno 42 is ENOMSG' }] })
  })

  it('demo --file says that all is equal and how the damage was refused, and leaves nothing behind', async () => {
    const report = await json('demo', '--file', '--size', '9MiB')
    expect(report).toMatchObject({
      memoryBytes: 9 * 1024 ** 2,
      equal: true,
      stream: { regions: [{ dataPages: 7 * 256, zeroPages: 2 * 256 }] },
      damage: { code: 'EBADMSG', section: expect.stringContaining('PAGES') },
    })
    expect((report['steps'] as { name: string }[]).map(({ name }) => name)).toEqual([
      'build',
      'save',
      'inspect',
      'verify',
      'restore',
      'compare',
      'damage',
    ])
  })
})

describe('what a person reads', () => {
  it('fits 80 columns and has no colours where nobody sees them', async () => {
    const out = join(temporaryDirectory(), 'out')
    writeFileSync(out, await bulkStream(300_000, 3))
    for (const words of [
      ['demo', '--file', '--size', '1MiB'],
      ['inspect', out],
      ['path', 'PRE_COPY', 'RESUMING'],
    ]) {
      const { code, stdout, stderr } = await stopcopy(words)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout).not.toContain('\u001b')
      const columns = words[0] === 'inspect' ? 80 : 100
      expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(columns)
    }
  })
})
