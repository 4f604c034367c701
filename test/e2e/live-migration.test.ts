/** A device that goes live from one process of the command to another. @module */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { verifyBulkWorkload } from '../../src/devices/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { stopcopy, temporaryDirectory } from './command.ts'
import { jsonLines, lineOf, send, startReceive } from './live-command.ts'

/** Odd on purpose: the last page is cut. */
const IMAGE_BYTES = 3 * 1024 * 1024 + 5

describe('send and receive', { timeout: 60_000 }, () => {
  it.each([
    ['unix', (directory: string) => `unix:${join(directory, 'socket')}`, []],
    ['tcp', () => 'tcp:127.0.0.1:0', []],
    ['tcp over three connections', () => 'tcp:127.0.0.1:0', ['--connections', '3']],
    ['unix without pre-copy', (directory: string) => `unix:${join(directory, 'socket')}`, ['--no-precopy']],
  ])('move a file as device memory over %s, bit for bit', async (_name, listen, words) => {
    const directory = temporaryDirectory()
    const [image, copy] = [join(directory, 'image'), join(directory, 'copy')]
    writeFileSync(image, Buffer.alloc(IMAGE_BYTES, 'a device has memory, and all of it counts. '))
    const receiver = await startReceive(listen(directory), 'bulk', '--memory-out', copy)
    const sent = await send(receiver.url, 'bulk', '-m', image, ...words)
    expect(sent).toMatchObject({ code: 0, stderr: '' })
    expect(sent.stdout).toContain(`to ${receiver.url}: the destination runs it`)
    expect(sent.stdout).toMatch(/^ {2}downtime +[\d.]+ m?s of 300 ms allowed/m)
    expect(await receiver.finished).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(copy).equals(readFileSync(image))).toBe(true)
    // The socket file is gone.
    expect(readdirSync(directory).sort()).toEqual(['copy', 'image'])
  })

  it('move a device that works, and its memory is what its records left', async () => {
    const directory = temporaryDirectory()
    const copy = join(directory, 'copy')
    const words = ['--memory-out', copy, '--run-for', '200ms', '--json']
    const receiver = await startReceive(`unix:${join(directory, 'socket')}`, ...words)
    const device = 'bulk:size=4MiB,seed=9'
    const sent = await send(receiver.url, device, '--dirty-rate', '5000', '--run-for', '100ms', '--json')
    expect(sent).toMatchObject({ code: 0, stderr: '' })
    const received = await receiver.finished
    expect(received).toMatchObject({ code: 0, stderr: '' })
    const { sequence } = lineOf(received.stdout, 'memory') as { sequence: string }
    expect(Number(sequence)).toBeGreaterThan(500)
    const expectation = { seed: 9, sequence: BigInt(sequence) }
    expect(await verifyBulkWorkload(readFileSync(copy), expectation)).toEqual({ matches: true })
  })

  it.each(['hot-set', 'sweep', 'burst'] as const)(
    'move a device that writes by the pattern %s, and it goes on by it',
    async (pattern) => {
      const directory = temporaryDirectory()
      const copy = join(directory, 'copy')
      const words = ['--memory-out', copy, '--run-for', '200ms', '--json']
      const receiver = await startReceive(`unix:${join(directory, 'socket')}`, ...words)
      const rate = ['--dirty-rate', '5000', '--pattern', pattern, '--run-for', '100ms']
      expect(await send(receiver.url, 'bulk:size=4MiB,seed=9', ...rate)).toMatchObject({
        code: 0,
        stderr: '',
      })
      const received = await receiver.finished
      const { sequence } = lineOf(received.stdout, 'memory') as { sequence: string }
      expect(Number(sequence)).toBeGreaterThan(100)
      const memory = readFileSync(copy)
      const expectation = { seed: 9, sequence: BigInt(sequence) }
      const workload = { pagesPerSecond: 5000, pattern }
      expect(await verifyBulkWorkload(memory, { ...expectation, workload })).toEqual({ matches: true })
      // Burst differs in when it writes, not in where.
      if (pattern === 'burst') return
      expect(await verifyBulkWorkload(memory, expectation)).toMatchObject({ matches: false })
    },
  )

  it('slow a device down that dirties faster than the link takes, with --auto-converge only', async () => {
    const words = ['--dirty-rate', '20000', '--bandwidth-limit', '40MB/s', '--max-iterations', '14', '--json']
    const [slowed, full] = await Promise.all(
      [['--auto-converge'], []].map(async (more) => {
        const receiver = await startReceive(`unix:${join(temporaryDirectory(), 'socket')}`)
        // At full speed all memory is dirty again after each pass: 600 ms of the link, whatever the machine does.
        const limit = ['--downtime-limit', '300ms', '--on-non-converging', 'abort']
        const sent = await send(receiver.url, 'bulk:size=24MiB', ...words, ...limit, ...more)
        if (sent.code !== 0) receiver.child.kill('SIGINT')
        await receiver.finished
        return sent
      }),
    )
    expect(slowed).toMatchObject({ code: 0, stderr: '' })
    const steps = jsonLines(slowed?.stdout ?? '').filter(({ type }) => type === 'throttle')
    expect(steps.map(({ percent }) => percent)).toEqual(expect.arrayContaining([20, 30]))
    const { report } = lineOf(slowed?.stdout ?? '', 'report') as { report: Record<string, unknown> }
    expect(report).toMatchObject({ switchover: 'converged', throttlePercent: Math.max(...percents(steps)) })
    expect(full).toMatchObject({ code: 1, stderr: expect.stringMatching(/does not converge[^\n]*\n$/) })
  })

  it('move a device over mutual TLS, and refuse who shows no certificate', async () => {
    const directory = temporaryDirectory()
    const authority = new TestAuthority(directory, 'authority')
    const files = ['--ca', file('ca', authority.cert)]
    const own = (name: string): string[] => {
      const { cert, key } = authority.issue('IP:127.0.0.1')
      return ['--cert', file(`${name}.cert`, cert), '--key', file(`${name}.key`, key)]
    }
    function file(name: string, text: string): string {
      const path = join(directory, name)
      writeFileSync(path, text)
      return path
    }
    const receiver = await startReceive('tls:127.0.0.1:0', ...files, ...own('here'), '--mutual')
    const stranger = await send(receiver.url, 'mtty', ...files)
    expect(stranger.code).toBe(1)
    expect(stranger.stderr).toMatch(/^stopcopy: Cannot [^\n]+; the source owns the device[^\n]*\n$/)
    const untrusting = await send(receiver.url, 'mtty', ...own('there'))
    expect(untrusting).toMatchObject({ code: 1, stderr: expect.stringMatching(/certificate[^\n]*\n$/) })
    expect(await send(receiver.url, 'mtty:ports=2', ...files, ...own('friend'))).toMatchObject({ code: 0 })
    const { code, stderr } = await receiver.finished
    expect(code).toBe(0)
    expect(stderr).toMatch(/^(?:stopcopy: Cannot [^\n]+\n)+$/)
  })

  it('tell a machine all that happened, a line each', async () => {
    const directory = temporaryDirectory()
    const receiver = await startReceive(`unix:${join(directory, 'socket')}`, '--json')
    const sent = await send(receiver.url, 'bulk:size=1MiB', '--dirty-rate', '100', '--json')
    const here = jsonLines(sent.stdout)
    expect(here.map(({ type }) => type)).toEqual(expect.arrayContaining(['phase', 'progress', 'switchover']))
    expect(here.at(-1)).toMatchObject({
      type: 'report',
      device: { type: 'bulk', memoryBytes: 1024 ** 2 },
      to: receiver.url,
      report: {
        owner: 'destination',
        downtimeMs: expect.any(Number),
        phases: { drainMs: expect.any(Number) },
      },
    })
    const { stdout } = await receiver.finished
    const there = jsonLines(stdout)
    expect(there[0]).toEqual({ type: 'listening', url: receiver.url })
    expect(there[1]).toMatchObject({ type: 'offer', device: { type: 'bulk', memoryBytes: 1024 ** 2 } })
    expect(there.at(-1)).toMatchObject({ type: 'report', report: { owner: 'destination' } })
    const { id } = (here.at(-1) as { report?: { id?: string } }).report ?? {}
    expect(there.at(-1)).toMatchObject({ report: { id } })
  })

  it('keep the ticket of a hand-over on disk only until it is settled, and one after another with --keep', async () => {
    const directory = temporaryDirectory()
    const ticket = join(directory, 'ticket')
    const receiver = await startReceive(`unix:${join(directory, 'socket')}`, '--keep', '--ticket', ticket)
    for (const device of ['mtty', 'bulk:size=100KB', 'mtty:ports=2'])
      expect(await send(receiver.url, device, '--ticket', join(directory, 'mine'))).toMatchObject({ code: 0 })
    await receiver.says(/mtty with 2 ports/)
    expect(readdirSync(directory)).toEqual(['socket'])
    receiver.child.kill('SIGINT')
    expect(await receiver.finished).toMatchObject({ code: 130, stderr: 'stopcopy: interrupted by SIGINT\n' })
    expect(readdirSync(directory)).toEqual([])
  })

  it('draw what happened', async () => {
    const directory = temporaryDirectory()
    const plot = join(directory, 'plot.svg')
    const receiver = await startReceive(`unix:${join(directory, 'socket')}`)
    const sent = await send(receiver.url, 'bulk:size=8MiB', '--dirty-rate', '2000', '--plot', plot)
    expect(sent).toMatchObject({ code: 0, stderr: '' })
    const svg = readFileSync(plot, 'utf8')
    expect(svg).toMatch(/^<svg [^>]+>\n<title>bulk with 8 MiB of memory<\/title>/)
    expect(svg).toContain('switchover at ')
    expect((await receiver.finished).code).toBe(0)
  })

  it('send ends with 0 when the destination runs it and only the drawing cannot be kept', async () => {
    const directory = temporaryDirectory()
    const receiver = await startReceive(`unix:${join(directory, 'socket')}`)
    const plot = join(directory, 'nowhere', 'plot.svg')
    const sent = await send(receiver.url, 'bulk:size=1MiB', '--plot', plot)
    expect(sent).toMatchObject({ code: 0, stderr: expect.stringMatching(/^stopcopy: Cannot .*nowhere.*\n$/) })
    expect(sent.stdout).toContain('downtime')
    expect((await receiver.finished).code).toBe(0)
  })
})

describe('resolve', { timeout: 60_000 }, () => {
  const ticket = { version: 1, id: 'ab'.repeat(16), role: 'source', phase: 'committed', devices: ['bulk'] }

  it('says that a receiver which knows nothing decides nothing, and keeps the ticket', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'ticket')
    writeFileSync(path, JSON.stringify(ticket))
    const receiver = await startReceive(`unix:${join(directory, 'socket')}`)
    const asked = await stopcopy(['resolve', path, '--to', receiver.url, '--resolve-for', '300ms'])
    expect(asked).toMatchObject({ code: 1, stderr: expect.stringMatching(/knows nothing of it/) })
    expect(readFileSync(path, 'utf8')).toBe(JSON.stringify(ticket))
  })

  it('refuses a file that holds no ticket of a source', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'ticket')
    writeFileSync(path, 'no ticket')
    const words = ['resolve', path, '--to', `unix:${join(directory, 'nobody')}`]
    expect(await stopcopy(words)).toMatchObject({ code: 1, stderr: expect.stringMatching(/holds no ticket/) })
    writeFileSync(path, JSON.stringify({ ...ticket, role: 'destination' }))
    expect(await stopcopy(words)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/a destination's ticket/),
    })
  })
})

/** What the device was told to give up, step by step. */
function percents(steps: readonly Record<string, unknown>[]): number[] {
  return steps.map(({ percent }) => percent as number).filter((percent) => percent > 0)
}
