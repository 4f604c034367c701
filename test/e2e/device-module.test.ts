/** Devices of a person's own in the command: modules that make them. @module */

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { stopcopy, temporaryDirectory } from './command.ts'
import { lineOf, send, startReceive, startServe } from './live-command.ts'

// Inside the package, so that `import 'stopcopy'` means what `npm run build` made.
const folder = mkdtempSync(fileURLToPath(new URL('../../build/device-module-', import.meta.url)))
afterAll(() => rmSync(folder, { recursive: true }))

/** The module of that name, whose text is `code`. */
function module(name: string, code: string): string {
  const path = join(folder, name)
  writeFileSync(path, code)
  return path
}

/** Counts while it runs, and can refuse. What it was asked with goes to stderr. */
const COUNTER = `
import { defineDevice, u32, VfioError } from 'stopcopy'
const say = (line) => process.stderr.write(line + '\\n')
export function createDevice({ type = 'counter', version, configuration }) {
  say(['asked for', type, version, configuration.size].join(' '))
  if (type !== 'counter') throw new VfioError('ENODEV', 'no ' + type + ' lives here')
  const { size = 8192 } = configuration
  let timer
  const driver = defineDevice({
    type,
    version: 1,
    state: { ticks: u32() },
    memory: { ram: { byteLength: size } },
    configuration: { size },
    resume: ({ state }) => void (timer = setInterval(() => state.ticks++, 1)),
    quiesce: () => clearInterval(timer),
  })
  return {
    driver,
    name: 'Counter',
    describe: () => 'tick ' + driver.state.ticks,
    destroy: () => say('destroyed'),
  }
}`

/** One whose memory was given back when its driver says that it was not. */
const STUCK = COUNTER.replace(
  '  return {\n    driver,',
  `  const { close } = driver
  driver.close = async () => {
    await close?.call(driver)
    throw new VfioError('EIO', 'it is stuck')
  }
  $&`,
)

function tickOf(line: Record<string, unknown>): number {
  return Number(/^tick (\d+)$/.exec(String(line['at']))?.[1])
}

describe('a device module', { timeout: 60_000 }, () => {
  let counter: string
  beforeAll(() => {
    counter = module('counter.mjs', COUNTER)
  })

  it('makes the device of send and, by what is offered, that of receive; it goes on where it had stopped', async () => {
    const url = `unix:${join(temporaryDirectory(), 'socket')}`
    const receiver = await startReceive(url, counter, '--run-for', '500ms', '--json')
    const sent = await send(url, counter, '--run-for', '100ms', '--json')
    expect(sent).toMatchObject({ code: 0, stderr: 'asked for counter  \ndestroyed\n' })
    const received = await receiver.finished
    expect(received).toMatchObject({ code: 0, stderr: 'asked for counter 1 8192\ndestroyed\n' })
    const device = { type: 'counter', module: counter, memoryBytes: 8192 }
    const [stopped, arrived, closed] = [
      lineOf(sent.stdout, 'report'),
      lineOf(received.stdout, 'report'),
      lineOf(received.stdout, 'closed'),
    ]
    for (const line of [stopped, arrived, closed]) expect(line).toMatchObject({ device })
    expect(tickOf(stopped)).toBeGreaterThan(0)
    expect(tickOf(arrived)).toBeGreaterThanOrEqual(tickOf(stopped))
    expect(tickOf(closed)).toBeGreaterThan(tickOf(arrived))
  })

  it('refuses what it does not make, at both ends and in a line, and goes on', async () => {
    const url = `unix:${join(temporaryDirectory(), 'socket')}`
    const receiver = await startReceive(url, pathToFileURL(counter).href, '--max-memory', '8KiB', '--keep')
    const words = 'Cannot take over a device of type "mtty": "file:'
    const refused = await send(url, 'mtty')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(
      /^stopcopy: [^\n]*no mtty lives here[^\n]*the source owns the device \(ENODEV\)\n$/,
    )
    expect(refused.stderr).toContain(words)
    await receiver.says(/no mtty lives here/)
    const large = module('large.mjs', COUNTER.replaceAll('8192', '8193'))
    const tooMuch = await send(url, large)
    expect(tooMuch.code).toBe(1)
    expect(tooMuch.stderr).toMatch(/8193 bytes passes the limit of 8192 bytes, raise --max-memory/)
    // It was not asked.
    expect(receiver.text().stderr).not.toContain('asked for counter 1 8193')
    for (let times = 0; times < 2; times++) expect(await send(url, counter)).toMatchObject({ code: 0 })
    await receiver.says(/Closed Counter of file:\S+ at tick \d+\n/)
    receiver.child.kill('SIGINT')
    const { code, stdout, stderr } = await receiver.finished
    expect(code).toBe(130)
    expect(stdout.match(/^Received Counter of /gm)).toHaveLength(2)
    expect(stdout.match(/^Closed Counter of /gm)).toHaveLength(2)
    expect(stderr.match(/^destroyed$/gm)).toHaveLength(2)
  })

  it('whose close() fails moves all the same: that is told, and it is destroyed', async () => {
    const stuck = module('stuck.mjs', STUCK)
    const told = `stopcopy: Cannot close the device of "${stuck}": it is stuck (EIO)\ndestroyed\n`
    const url = `unix:${join(temporaryDirectory(), 'socket')}`
    const receiver = await startReceive(url, stuck, '--keep')
    // Refused when it is open already.
    const wide = module('wide.mjs', COUNTER.replace('ticks: u32()', 'ticks: u32(), more: u32()'))
    const refused = await send(url, wide)
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/state\.bytes is [^\n]*; the source owns the device/)
    for (let times = 0; times < 2; times++)
      expect(await send(url, stuck)).toMatchObject({ code: 0, stderr: `asked for counter  \n${told}` })
    await receiver.says(/Closed Counter of \S+ at tick \d+\n[^]*Received [^]*/)
    receiver.child.kill('SIGINT')
    const { code, stdout, stderr } = await receiver.finished
    expect(code).toBe(130)
    expect(stdout.match(/^Received Counter of /gm)).toHaveLength(2)
    expect(stderr.split(told)).toHaveLength(4)
    expect(stderr).toMatch(/^stopcopy: Cannot [^\n]*state\.bytes is /m)
    expect(existsSync(url.replace('unix:', ''))).toBe(false)
  })

  it('cannot steer the terminal of the other end, nor can who it moves for', async () => {
    const type = String.raw`\u001b[2J\u001b]0;pwned\u0007x\u009b`
    const steering = module(
      'steering.mjs',
      COUNTER.replace(`type = 'counter'`, `type = '${type}'`)
        .replace(/^ {2}if \(type.*$/m, '')
        .replaceAll(`'asked for', type`, `'asked for', JSON.stringify(type)`)
        .replace(`'Counter'`, `'a\\u001b[1mb'`)
        .replace(`'tick '`, `'t\\u001b]0;pwned\\u0007ick '`),
    )
    const url = `unix:${join(temporaryDirectory(), 'socket')}`
    const receiver = await startReceive(url, counter, '--keep')
    const refused = await send(url, steering)
    expect(refused.code).toBe(1)
    await receiver.says(/no \[2J \]0;pwned x lives here/)
    receiver.child.kill('SIGINT')
    const taker = await startReceive(url, steering)
    const sent = await send(url, steering)
    expect(sent.code).toBe(0)
    expect(sent.stdout).toMatch(/^Migrated a \[1mb of [^]* at t \]0;pwned ick \d+\n/)
    for (const { stdout, stderr } of [refused, await receiver.finished, sent, await taker.finished])
      // The asked module itself prints what it likes, on a machine that trusts it.
      for (const text of [stdout, stderr.replaceAll(/^asked for .*$/gm, '')])
        expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })

  it('is saved and restored', async () => {
    const file = join(temporaryDirectory(), 'stream')
    const saved = await stopcopy(['save', counter, '-o', file, '--json'])
    expect(saved.code).toBe(0)
    expect(await stopcopy(['verify', file])).toMatchObject({ code: 0 })
    const restored = await stopcopy(['restore', counter, file, '--json'])
    expect(restored).toMatchObject({ code: 0, stderr: 'asked for counter 1 8192\ndestroyed\n' })
    const [before, after] = [saved, restored].map(
      ({ stdout }) => JSON.parse(stdout) as Record<string, unknown>,
    )
    expect(after).toMatchObject({ at: before?.['at'], report: { state: 'STOP' } })
    const text = await stopcopy(['restore', counter, file])
    expect(text.stdout).toContain(`it is in STOP at ${String(before?.['at'])}:\n`)
  })

  it('that returns a PCI device is served, and its pci is all that serve needs', async () => {
    const path = module(
      'uart.mjs',
      `import { createMtty } from 'stopcopy/devices'\nexport default () => createMtty()\n`,
    )
    const socket = join(temporaryDirectory(), 'a')
    const server = await startServe(path, [socket])
    expect(await stopcopy(['conformance', '-s', socket, '--read-only'])).toMatchObject({ code: 0 })
    expect(await server.interrupt()).toMatchObject({ code: 0 })
    const refused = await stopcopy(['serve', counter, '-s', socket])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(
      /Cannot serve Counter of [^\n]*: it is no PCI device, return a pci beside its driver/,
    )
  })

  it('is held against the conformance suite, with failures injected into what it makes anew for each', async () => {
    const quiet = module('quiet.mjs', COUNTER.replaceAll(/^.*say\(\[.*$/gm, ''))
    const passed = await stopcopy(['conformance', quiet, '--json'])
    expect(passed.code).toBe(0)
    expect(lineOf(passed.stdout, 'device')).toMatchObject({ device: { type: 'counter', module: quiet } })
    const { pass, fail, notApplicable } = lineOf(passed.stdout, 'summary')
    expect(fail).toBe(0)
    expect(pass).toBeGreaterThan(100)
    // It has no registers and no DMA logging.
    expect(notApplicable).toBeLessThan(15)
    // Whatever was made was destroyed.
    expect(passed.stderr.match(/^destroyed$/gm)?.length).toBeGreaterThan(Number(pass))

    const restless = module('restless.mjs', COUNTER.replace('() => clearInterval(timer)', '() => {}'))
    const failed = await stopcopy(['conformance', restless, '--only', 'nothing moves in STOP'])
    expect(failed.code).toBe(1)
    expect(failed.stdout).toMatch(/^Checking Counter of \S+, which is created anew for each check\n/)
    expect(failed.stdout).toMatch(/^FAIL {2}suite: nothing moves in STOP$/m)
    // Its timers, which nothing stops, keep no process.
    expect(failed.stderr).toMatch(
      /^stopcopy: Cannot call the device conformant: \d checks? fails?, see above \(EPROTO\)$/m,
    )
  })

  it.each([
    [
      'nothing.mjs',
      undefined,
      'ENOENT',
      /Cannot load device "[^"]+": no such file or folder, check the path/,
    ],
    ['syntax.mjs', 'export default {', 'EINVAL', /it fails: SyntaxError: /],
    ['import.mjs', `import 'no-such-package'`, 'EINVAL', /it fails: Cannot find package 'no-such-package'/],
    ['throws-early.mjs', `throw new Error('no licence')`, 'EINVAL', /it fails: no licence/],
    [
      'no-export.mjs',
      'export const device = 1',
      'EINVAL',
      /it exports no function to make one, add `export default/,
    ],
    [
      'throws.mjs',
      `export default () => { throw 'no device' }`,
      'EINVAL',
      /Cannot make a device: "[^"]+" says: no device/,
    ],
    [
      'rejects.mjs',
      `export default async () => (await import('node:fs')).readFileSync('/nowhere')`,
      'ENOENT',
      /says: ENOENT/,
    ],
    [
      'returns.mjs',
      `export default () => {}`,
      'EINVAL',
      /returned undefined for a driver, return what defineDevice/,
    ],
    [
      'wrong.mjs',
      `export default () => ({ driver: { identity: {} } })`,
      'EINVAL',
      /whose identity lacks a type/,
    ],
    [
      'flags.mjs',
      `const identity = { type: 'a', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' }
       export default () => ({ identity, flags: 0, reset() {} })`,
      'ENOTTY',
      /its flags are 0, give it some/,
    ],
    [
      'half.mjs',
      `const identity = { type: 'a', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' }
       export default () => ({ identity, flags: 1, transition() {}, reset() {} })`,
      'EINVAL',
      /Cannot open the driver: it has no stopCopyLength\(\), add it/,
    ],
  ])('%s is exit code 1 and one line', async (name, code, errno, reason) => {
    const path = code === undefined ? join(folder, name) : module(name, code)
    const { code: exit, stdout, stderr } = await stopcopy(['save', path, '-o', '/dev/null', '--json'])
    expect(exit).toBe(1)
    expect(stderr).toMatch(/^stopcopy: Cannot [^\n]+\n$/)
    expect(stderr).toMatch(reason)
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: errno } })
  })

  it('that is broken ends receive before it listens; a folder is no module', async () => {
    const url = `unix:${join(temporaryDirectory(), 'socket')}`
    const broken = module('broken.mjs', 'export {}')
    const refused = await stopcopy(['receive', broken, '-l', url])
    expect(refused).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('exports no function'),
    })
    const directory = join(folder, 'folder.mjs')
    mkdirSync(directory)
    expect(await stopcopy(['receive', directory, '-l', url])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is no regular file, name a module'),
    })
  })

  it('that makes another type than the one offered is named, and what it made is destroyed', async () => {
    const other = module('other.mjs', COUNTER.replace(`    type,\n`, `    type: 'clock',\n`))
    const file = join(temporaryDirectory(), 'stream')
    expect(await stopcopy(['save', counter, '-o', file])).toMatchObject({ code: 0 })
    const { code, stderr } = await stopcopy(['restore', other, file])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^destroyed$/m)
    expect(stderr).toMatch(/made one of type "clock" for one of type "counter", make that one or throw/)
  })

  it.each([
    [['save', './device.py', '-o', 'x'], /it is no module, name a file that ends in \.mjs, \.js or \.ts/],
    [['save', './device.mjs', '-o', 'x', '--memory', 'y'], /a device module has its own, use bulk/],
    [
      ['save', './device.mjs', '-o', 'x', '--compress', 'lz4'],
      /a device module has its own, leave --compress out/,
    ],
    [['save', './device.mjs', '-o', 'x', '--run'], /Cannot let the device run on/],
    [['restore', './device.mjs', 'x', '--run'], /Cannot let the device run: /],
    [['restore', './device.mjs', 'x', '-m', 'y'], /leave --memory-out out/],
    [['receive', './device.mjs', '-l', 'unix:x', '-m', 'y'], /leave --memory-out out/],
    [['send', './device.mjs', '-t', 'unix:x', '--dirty-rate', '1'], /its module says what it does, use bulk/],
    [['serve', './device.mjs', '-s', 'x', '--pattern', 'burst'], /its module says what it does, use bulk/],
    [['conformance'], /name a device, or the --socket of a server/],
    [['conformance', 'mtty', '-s', 'x'], /name a device, or the --socket of a server/],
    [['conformance', 'mtty', '--read-only'], /are for servers, leave them out/],
    [['conformance', 'vfio-user:/run/x'], /another server has it/],
    [['receive', '-l', 'unix:x', '--allow-origin', 'http://a'], /they only come by ws: or wss:/],
    [
      ['receive', '-l', 'ws:127.0.0.1:0', '--allow-origin', 'a.org'],
      /it is no origin, write one such as https:/,
    ],
    [['receive', '-l', 'ws:127.0.0.1:0', '--allow-origin', 'http://a/b'], /it is no origin/],
    [['receive', '-l', 'ws:127.0.0.1:0', '--allow-origin', 'null'], /it is no origin/],
  ])('%j is exit code 2', async (words, reason) => {
    const { code, stdout, stderr } = await stopcopy(words)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^stopcopy: [^\n]+\n$/)
    expect(stderr).toMatch(reason)
  })
})

describe('--allow-origin', { timeout: 60_000 }, () => {
  it('lets in the pages that it names, and no others', async () => {
    const receiver = await startReceive(
      'ws:127.0.0.1:0/take',
      '--allow-origin',
      'http://a.test',
      '--allow-origin',
      'http://b.test:81',
    )
    const url = receiver.url.replace('ws:', 'ws://')
    const opened = (origin: string): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = new WebSocket(url, { origin })
        socket.on('open', () => (socket.terminate(), resolve(true)))
        socket.on('error', () => resolve(false))
      })
    const origins = ['http://a.test', 'http://b.test:81', 'http://b.test', 'https://a.test', 'null']
    expect(await Promise.all(origins.map(opened))).toEqual([true, true, false, false, false])
    await receiver.says(
      /pages of "https:\/\/a\.test" are not allowed, name it with --allow-origin \(EPERM\)\n/,
    )
  })
})
