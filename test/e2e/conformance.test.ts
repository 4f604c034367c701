/** `stopcopy conformance` on a server of `stopcopy serve`. @module */

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stopcopy, temporaryDirectory } from './command.ts'
import { jsonLines, lineOf, startServe } from './live-command.ts'

describe('conformance', { timeout: 120_000 }, () => {
  it('finds nothing wrong with our server, dangerous checks included', async () => {
    const directory = temporaryDirectory()
    const sockets = [join(directory, 'a'), join(directory, 'b')]
    await startServe('bulk:size=64KiB', sockets)
    const words = [...sockets.flatMap((path) => ['--socket', path]), '--dangerous', '--strict', '--json']
    const { code, stdout, stderr } = await stopcopy(['conformance', ...words])
    expect(stderr).toBe('')
    const lines = jsonLines(stdout)
    expect(lines[0]).toMatchObject({ type: 'server', url: `unix:${sockets[0]}`, isLibvfioUser: false })
    const checks = lines.filter(({ type }) => type === 'check')
    expect(checks.filter(({ status }) => status === 'fail')).toEqual([])
    // Both kinds ran, to the end of the state machine.
    for (const [prefix, least] of [
      ['suite: ', 80],
      ['state: ', 15],
      ['data: ', 15],
      ['framing: ', 8],
      ['dangerous: ', 5],
    ] as const) {
      const passed = checks.filter(({ name, status }) => String(name).startsWith(prefix) && status === 'pass')
      expect(passed.length, prefix).toBeGreaterThanOrEqual(least)
    }
    // What does not apply says why, and it is nothing that a second device would help.
    for (const { name, reason } of checks.filter(({ status }) => status === 'not applicable'))
      expect(reason, String(name)).toMatch(/^it needs .*process|^the device has P2P$/)
    expect(lineOf(stdout, 'summary')).toMatchObject({ fail: 0, known: 0 })
    expect(code).toBe(0)
  })

  it('tells people each check in a line, and the rule, request and answer of one that is asked for', async () => {
    const socket = join(temporaryDirectory(), 'a')
    await startServe('mtty', [socket])
    const words = ['-s', socket, '--only', 'GET_INFO takes', '--only', 'argsz that is too small', '--verbose']
    const { code, stdout, stderr } = await stopcopy(['conformance', ...words])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(
      `Checking unix:${socket}: vfio-user 0.1, 9 regions, 5 interrupt indexes, migration with stop-copy, p2p, pre-copy\n`,
    )
    expect(stdout).toMatch(/^pass {2}info: GET_INFO takes a longer structure\n {6}rule {6}argsz says/m)
    expect(stdout).toMatch(/^ {6}sent {6}DEVICE_GET_INFO 16 bytes: 0f000000 /m)
    expect(stdout).toMatch(/^ {6}received {2}EINVAL, a bare header$/m)
    expect(stdout).toMatch(/^3 pass, 0 fail, 0 not applicable\n$/m)
  })

  it('only asks where it may do no more, over one connection that nothing was changed by', async () => {
    const socket = join(temporaryDirectory(), 'a')
    const server = await startServe('mtty', [socket], '--keep-state', '--json')
    const { code, stdout, stderr } = await stopcopy(['conformance', '-s', socket, '--read-only', '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const checks = jsonLines(stdout).filter(({ type }) => type === 'check')
    const ran = checks.filter(({ reason }) => reason !== '--read-only: it changes the device')
    expect(ran.length).toBeGreaterThan(50)
    expect(new Set(ran.map(({ safety }) => safety))).toEqual(new Set(['reads']))
    await server.says(/"type":"left".*"state":"RUNNING"/)
    const types = jsonLines(server.text().stdout).map(({ type }) => type)
    expect(types).toEqual(['listening', 'client', 'version', 'left'])
  })

  it('fails where something is wrong, and names it', async () => {
    const socket = join(temporaryDirectory(), 'a')
    await startServe('mtty', [socket], '--quirk', 'long-errors')
    const { code, stdout, stderr } = await stopcopy(['conformance', '-s', socket, '--only', 'order:'])
    expect(code).toBe(1)
    expect(stdout).toMatch(/^FAIL {2}order: the refusal of a state is a bare header$/m)
    expect(stdout).toMatch(/^ {6}received {2}EINVAL, with 16 bytes: /m)
    expect(stderr).toBe('stopcopy: Cannot call the server conformant: 3 checks fail, see above (EPROTO)\n')
  })

  it('waits once for a server that is gone, not at every check that is left, and is no success', async () => {
    const socket = join(temporaryDirectory(), 'a')
    // It ends with the connection that raw messages go over.
    const server = await startServe('mtty', [socket], '--once')
    const words = ['-s', `unix:${socket}`, '--only', 'by ioctl', '--json']
    const { code, stdout, stderr } = await stopcopy(['conformance', ...words])
    expect(code).toBe(1)
    expect(stderr).toBe(
      'stopcopy: Cannot call the server conformant: it took no connection any more and checks were left out, see above and let it run on (ENOTCONN)\n',
    )
    await server.says(/client 1 left/)
    const checks = jsonLines(stdout).filter(({ type }) => type === 'check')
    expect(checks.length).toBeGreaterThan(5)
    for (const { reason } of checks) expect(reason).toMatch(/^the server takes no connection: /)
    const waited = checks.filter(({ elapsedMs }) => Number(elapsedMs) >= 5000)
    expect(waited).toHaveLength(1)
  })

  it('is no success when the server ends with its first client and checks need more of them', async () => {
    const socket = join(temporaryDirectory(), 'a')
    await startServe('mtty', [socket], '--once')
    const { code, stdout, stderr } = await stopcopy(['conformance', '-s', socket, '--only', 'version:'])
    expect(code).toBe(1)
    expect(stdout).toMatch(/because {3}the server went away when its client left/)
    expect(stderr).toMatch(/it took no connection any more and checks were left out, see above/)
  })

  it.each([
    [['--only', 'no such check'], 2, /no check has "no such check" in its name/],
    [['--read-only', '--dangerous'], 2, /leave out --read-only or --dangerous/],
    [['--timeout', '0'], 2, /--timeout must be above 0/],
  ])('refuses %j', async (words, exit, reason) => {
    const socket = join(temporaryDirectory(), 'a')
    await startServe('mtty', [socket])
    const { code, stderr } = await stopcopy(['conformance', '-s', socket, ...words])
    expect(code).toBe(exit)
    expect(stderr).toMatch(reason)
  })

  it('says so where nobody listens', async () => {
    const socket = join(temporaryDirectory(), 'nobody')
    const { code, stderr } = await stopcopy(['conformance', '-s', socket])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^stopcopy: Cannot connect to "unix:.*ENOENT/)
  })
})

describe('words that make no sense', () => {
  it.each([
    [['serve', 'mtty'], /required option '-s, --socket <path>' not specified/],
    [['serve', 'vfio-user:/run/x', '-s', '/run/y'], /another server has it, use mtty/],
    [['serve', 'mtty', '-s', '/run/y', '-s', '/run/y'], /name each --socket once/],
    [['serve', 'mtty', '-s', '/run/y', '--dirty-rate', '1'], /it has none, use bulk/],
    [['serve', 'bulk', '-s', '/run/y', '--pattern', 'burst'], /give a --dirty-rate/],
    [['serve', 'mtty', '-s', '/run/y', '--quirk', 'mood'], /mood/],
    [['serve', '--socket', '/run/y'], /missing required argument 'device'/],
    [['serve', 'mtty', '--socket', ''], /it names no path, write unix:PATH/],
    [['serve', 'mtty', '--socket', `/run/${'a'.repeat(103)}`], /has more than 107 bytes, shorten it/],
    [['conformance', '--socket', `unix:/run/${'a'.repeat(103)}`], /has more than 107 bytes, shorten it/],
    [['save', `vfio-user:/run/${'a'.repeat(103)}`, '-o', 'x'], /has more than 107 bytes, shorten it/],
    [
      ['restore', 'vfio-user:/run/x', 'y', '--max-memory', '1GiB'],
      /its server has it already, leave --max-memory/,
    ],
    [['receive', 'vfio-user:/run/x', '-l', 'unix:/run/y', '--max-memory', '1'], /leave --max-memory out/],
    [['save', 'mtty', '-o', '/run/y', '--run'], /leave --run out/],
    [['restore', 'mtty', '/run/y', '--run'], /leave --run out/],
    [['save', 'vfio-user:/run/x', '-o', '/run/y', '-m', '/run/z'], /it has none|has none, use bulk/],
    [['restore', 'vfio-user:/run/x', '/run/y', '-m', '/run/z'], /leave --memory-out out/],
    [['send', 'vfio-user:/run/x', '--to', 'unix:/run/y', '--dirty-rate', '1'], /it has none, use bulk/],
  ])('%j', async (words, reason) => {
    const { code, stderr, stdout } = await stopcopy(words)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(reason)
  })

  it('refuses a device that does not run, in one line', async () => {
    const socket = join(temporaryDirectory(), 'a')
    await startServe('mtty', [socket], '--keep-state')
    const file = join(temporaryDirectory(), 'stream')
    expect(await stopcopy(['save', `vfio-user:${socket}`, '-o', file])).toMatchObject({ code: 0 })
    const { code, stderr } = await stopcopy(['conformance', '--socket', socket])
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^stopcopy: Cannot check the device: it is in STOP, let it run or reset it[^\n]*\n$/,
    )
  })
})
