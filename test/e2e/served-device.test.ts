/** Devices of a vfio-user server in the command: what becomes of them when something goes wrong. @module */

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { start, stopcopy, temporaryDirectory } from './command.ts'
import { startReceive, startSend, startServe } from './live-command.ts'
import { bulkStream, mttyStream } from './stream-bytes.ts'

describe('a device of a server', { timeout: 60_000 }, () => {
  it('is not touched by a stream that is not its own', async () => {
    const directory = temporaryDirectory()
    const [socket, wrong, other, right] = ['socket', 'wrong', 'other', 'right'].map((name) =>
      join(directory, name),
    ) as [string, string, string, string]
    writeFileSync(wrong, await mttyStream())
    writeFileSync(other, await bulkStream(20_000, 3))
    const server = await startServe('bulk:size=64KiB', [socket], '--keep-state', '--verbose')
    expect(await stopcopy(['save', `vfio-user:${socket}`, '--run', '-o', right])).toMatchObject({ code: 0 })
    for (const [file, reason] of [
      [wrong, /the stream's device is a "mtty" and the one here a "bulk", open a "mtty"/],
      [other, /the configuration of "bulk" differs: .*65536/],
    ] as const) {
      const { code, stderr } = await stopcopy(['restore', `vfio-user:${socket}`, file])
      expect(code).toBe(1)
      expect(stderr).toMatch(/^stopcopy: Cannot restore bulk at [^\n]+ \(EINVAL\)\n$/)
      expect(stderr).toMatch(reason)
    }
    expect(await stopcopy(['restore', `vfio-user:${socket}`, right])).toMatchObject({ code: 0 })
    await server.interrupt()
    const left = server.text().stdout.match(/client \d left after .*/g)
    expect(left?.map((line) => line.replace(/.*the device /, ''))).toEqual([
      'is in RUNNING',
      'is in RUNNING',
      'is in RUNNING',
      'is in STOP',
    ])
  })

  it('is served also where its name comes after the socket', async () => {
    const socket = join(temporaryDirectory(), 'a')
    const { child, finished } = start(['serve', '--socket', socket, 'mtty'])
    await once(child.stdout as NodeJS.ReadableStream, 'data')
    child.kill('SIGINT')
    const { stdout } = await finished
    expect(stdout).toContain(`Serving mtty with 1 port on unix:${socket}\n`)
  })

  it('is told of when Ctrl-C ends its save', async () => {
    const socket = join(temporaryDirectory(), 'a')
    const server = await startServe('bulk:size=1GiB', [socket], '--keep-state')
    // Nobody reads the stream: it is under way until it is interrupted.
    const { child, finished } = start(['save', `vfio-user:${socket}`, '-o', '-'])
    child.stdout?.pause()
    await server.says(/client 1 came/)
    await new Promise((resolve) => child.stdout?.once('readable', resolve))
    child.kill('SIGINT')
    child.stdout?.resume()
    expect(await finished).toMatchObject({
      code: 130,
      stderr: 'stopcopy: interrupted by SIGINT; the device is in RUNNING\n',
    })
    await server.says(/client 1 left after .*the device is in RUNNING\n/)
  })

  it('is told of when Ctrl-C ends its restore', async () => {
    const socket = join(temporaryDirectory(), 'a')
    const server = await startServe('bulk:size=8MiB', [socket], '--keep-state')
    const { child, finished } = start(['restore', `vfio-user:${socket}`, '-'])
    child.stdin?.on('error', () => {})
    // More than pipes hold: when it is taken, the device is being loaded.
    const part = (await bulkStream(8 * 2 ** 20, 1)).subarray(0, 4 * 2 ** 20)
    await new Promise((resolve) => child.stdin?.write(part, resolve))
    child.kill('SIGINT')
    expect(await finished).toMatchObject({
      code: 130,
      stdout: '',
      stderr: 'stopcopy: interrupted by SIGINT; the device was reset and is in RUNNING\n',
    })
    await server.says(/client 1 left after .*the device is in RUNNING\n/)
  })

  it('goes on at its server when Ctrl-C cancels its migration', async () => {
    const directory = temporaryDirectory()
    const socket = join(directory, 'a')
    const server = await startServe('bulk:size=64MiB', [socket], '--keep-state')
    const receiver = await startReceive(`unix:${join(directory, 'b')}`)
    const sender = startSend(receiver.url, `vfio-user:${socket}`, '--bandwidth-limit', '1MB/s', '--json')
    await sender.says(/"type":"progress"/)
    sender.child.kill('SIGINT')
    const { code, stderr } = await sender.finished
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: 'stopcopy: interrupted by SIGINT; the source owns the device\n',
    })
    await server.says(/client 1 left after .*the device is in RUNNING\n/)
  })
})
