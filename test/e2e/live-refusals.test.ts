/** Peers that are refused, and migrations that are canceled: the listener goes on, and the owner is named. @module */

import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { start, stopcopy, temporaryDirectory } from './command.ts'
import { lineOf, send, startReceive, startSend } from './live-command.ts'

/** A socket URL and its path. */
function socketIn(directory: string): { url: string; path: string } {
  const path = join(directory, 'socket')
  return { url: `unix:${path}`, path }
}

describe('a receiver', { timeout: 60_000 }, () => {
  it('refuses a device that does not fit in one line at each end, and goes on serving', async () => {
    const { url } = socketIn(temporaryDirectory())
    const receiver = await startReceive(url, 'bulk', '--max-memory', '2MiB')
    const line = /^stopcopy: Cannot [^\n]+; the source owns the device[^\n]*\n$/
    for (const [device, reason] of [
      ['mtty', /device of type "mtty"/],
      ['bulk:size=2097153', /2097153 bytes passes the limit of 2097152 bytes/],
    ] as const) {
      const refused = await send(url, device)
      expect(refused.code).toBe(1)
      expect(refused.stderr).toMatch(line)
      expect(refused.stderr).toMatch(reason)
      await receiver.says(reason)
    }
    expect(await send(url, 'bulk:size=2MiB')).toMatchObject({ code: 0, stderr: '' })
    const { code, stderr } = await receiver.finished
    expect(code).toBe(0)
    expect(stderr.trimEnd().split('\n')).toHaveLength(2)
  })

  it('is not moved by garbage, by a peer that hangs up, or by one that says nothing', async () => {
    const { url, path } = socketIn(temporaryDirectory())
    const receiver = await startReceive(url)
    const garbage = connect(path)
    garbage.on('error', () => {})
    garbage.end(Buffer.alloc(4096, 'GET / HTTP/1.1\r\n'))
    await receiver.says(/^stopcopy: Cannot [^\n]+\(EPROTO\)\n/)
    connect(path).end()
    const silent = connect(path)
    await once(silent, 'connect')
    expect(await send(url, 'mtty')).toMatchObject({ code: 0, stderr: '' })
    silent.destroy()
    expect((await receiver.finished).code).toBe(0)
  })

  it('lets other machines in only when it is told to', async () => {
    const refused = await stopcopy(['receive', '--listen', 'tcp:0.0.0.0:0'])
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/other machines/) })
    const receiver = await startReceive('tcp:0.0.0.0:0', '--allow-remote')
    expect(receiver.url).toMatch(/^tcp:0\.0\.0\.0:\d+$/)
  })

  it('does not overwrite the ticket of a hand-over that is not settled', async () => {
    const directory = temporaryDirectory()
    const ticket = join(directory, 'ticket')
    writeFileSync(ticket, '{}')
    const { url } = socketIn(directory)
    for (const words of [
      ['receive', '--listen', url, '--ticket', ticket],
      ['send', 'mtty', '--to', url, '--ticket', ticket],
    ])
      expect(await stopcopy(words)).toMatchObject({ code: 1, stderr: expect.stringMatching(/EEXIST/) })
    expect(readdirSync(directory)).toEqual(['ticket'])
  })
})

describe('Ctrl-C', { timeout: 60_000 }, () => {
  it('in pre-copy: the source owns the device and says so, the receiver goes on', async () => {
    const directory = temporaryDirectory()
    const { url } = socketIn(directory)
    const receiver = await startReceive(url)
    const words = ['--dirty-rate', '100', '--bandwidth-limit', '4MB/s', '--json']
    const sender = startSend(url, 'bulk:size=64MiB', ...words)
    await sender.says(/"phase":"precopy"[^\n]*"remainingBytes"/)
    sender.child.kill('SIGINT')
    const { code, stdout, stderr } = await sender.finished
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: 'stopcopy: interrupted by SIGINT; the source owns the device\n',
    })
    expect(lineOf(stdout, 'error')).toMatchObject({
      error: { code: 'EINTR' },
      report: { owner: 'source', downtimeLimitMs: 300 },
    })
    await receiver.says(/ECANCELED/)
    expect(await send(url, 'mtty')).toMatchObject({ code: 0 })
    expect((await receiver.finished).code).toBe(0)
  })

  it('at the receiver: the source runs on and says why', async () => {
    const { url, path } = socketIn(temporaryDirectory())
    const receiver = await startReceive(url)
    const words = ['--dirty-rate', '100', '--bandwidth-limit', '4MB/s', '--json']
    const sender = startSend(url, 'bulk:size=64MiB', ...words)
    await sender.says(/"phase":"precopy"[^\n]*"remainingBytes"/)
    receiver.child.kill('SIGINT')
    expect(await receiver.finished).toMatchObject({ code: 130, stderr: 'stopcopy: interrupted by SIGINT\n' })
    const { code, stderr } = await sender.finished
    expect(code).toBe(1)
    expect(stderr).toMatch(/^stopcopy: Cannot [^\n]*canceled[^\n]*; the source owns the device[^\n]*\n$/)
    expect(existsSync(path)).toBe(false)
  })
})

describe('a source whose destination is gone', { timeout: 60_000 }, () => {
  it('says that nobody listens', async () => {
    const { url } = socketIn(temporaryDirectory())
    const { code, stderr } = await send(url, 'mtty')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^stopcopy: Cannot connect to [^\n]+\n$/)
  })

  it('keeps the device when the destination is killed in pre-copy', async () => {
    const { url } = socketIn(temporaryDirectory())
    const receiver = await startReceive(url)
    const words = ['--dirty-rate', '100', '--bandwidth-limit', '4MB/s', '--json']
    const sender = startSend(url, 'bulk:size=64MiB', ...words)
    await sender.says(/"phase":"precopy"[^\n]*"remainingBytes"/)
    receiver.child.kill('SIGKILL')
    const { code, stdout, stderr } = await sender.finished
    expect(code).toBe(1)
    expect(stderr).toMatch(/; the source owns the device[^\n]*\n$/)
    expect(lineOf(stdout, 'error')).toMatchObject({ report: { owner: 'source' } })
  })
})

describe('wrong usage', () => {
  it.each([
    [['send', 'bulk'], /--to/],
    [['send', 'bulk', '--to', 'there'], /no transport/],
    [['send', 'bulk', '--to', 'tcp:host'], /a host and a port/],
    [['send', 'mtty', '--to', 'unix:/x', '--dirty-rate', '5'], /has none/],
    [['send', 'bulk', '--to', 'unix:/x', '--dirty-rate', 'fast'], /no whole number/],
    [['send', 'bulk', '--to', 'unix:/x', '--pattern', 'sweep'], /--dirty-rate/],
    [['send', 'bulk', '--to', 'unix:/x', '--downtime-limit', '50'], /no unit/],
    [['send', 'bulk', '--to', 'unix:/x', '--downtime-limit', '0'], /no time/],
    [['send', 'bulk', '--to', 'unix:/x', '--bandwidth-limit', '0MB/s'], /nothing would move/],
    [['send', 'bulk', '--to', 'unix:/x', '--connections', '65'], /1 to 64/],
    [['send', 'bulk:size=1', '--to', 'unix:/x', '-m', 'x'], /come from the file/],
    [['receive'], /--listen/],
    [['receive', 'mtty', '--listen', 'unix:/x', '-m', 'y'], /has none/],
    [['receive', '--listen', 'unix:/x', '-m', '-'], /stdout/],
    [['receive', '--listen', 'tls:127.0.0.1:0', '--mutual'], /name a --ca/],
    [['resolve', 'x'], /--to/],
    [['demo', '--size', '1000'], /64KiB/],
    [['demo', '--file', '--plot', 'x'], /leave --plot out/],
  ])('%j is exit code 2', async (words, line) => {
    const { finished, child } = start([...words, '--json'])
    child.stdin?.end()
    const { code, stdout, stderr } = await finished
    expect(code).toBe(2)
    expect(stderr).toMatch(/^stopcopy: [^\n]+\n$/)
    expect(stderr).toMatch(line)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'EINVAL' } })
  })
})
