/** The wire's own cases, on servers of ours: right ones, and ones that are wrong on purpose. @module */

import { describe, expect, it, onTestFinished } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createBulk, createMtty } from '../../../src/devices/index.ts'
import { type ByteDuplex, memoryPair } from '../../../src/transport/index.ts'
import {
  serveVfioUser,
  type ServeOptions,
  WireConformance,
  type WireFinding,
} from '../../../src/vfio-user/index.ts'

type Found = WireFinding & { name: string }

/** A bench whose connections are served one after the other. */
async function benchOf(
  driver: ReturnType<typeof createMtty> | ReturnType<typeof createBulk>,
  options: Partial<ServeOptions> = {},
  tamper: (client: ByteDuplex) => ByteDuplex = (client) => client,
): Promise<WireConformance> {
  const device = await VfioDevice.open(driver)
  let last: Promise<unknown> = Promise.resolve()
  const bench = new WireConformance({
    connect: async () => {
      await last
      const [client, server] = memoryPair()
      last = serveVfioUser(device, server, { pci: driver.pci, ...options })
      return tamper(client)
    },
  })
  onTestFinished(async () => {
    await bench.close()
    await last
    await device.close()
  })
  return bench
}

async function runAll(bench: WireConformance, cases = bench.cases): Promise<Found[]> {
  const findings: Found[] = []
  for (const test of cases) findings.push({ name: test.name, ...(await test.run()) })
  return findings
}

/** Replaces bytes that the client sends, by others of the same length. */
function replacing(text: string, by: string): (client: ByteDuplex) => ByteDuplex {
  return (client) => ({
    read: (dst) => client.read(dst),
    cancel: (reason) => client.cancel(reason),
    close: () => client.close(),
    abort: (reason) => client.abort(reason),
    write: (chunks) =>
      client.write(
        chunks.map((chunk) => Buffer.from(Buffer.from(chunk).toString('latin1').replace(text, by), 'latin1')),
      ),
  })
}

const CASES = new WireConformance({ connect: () => Promise.reject(new Error('nobody')) }).cases

describe('the cases of the wire', () => {
  it('have names and rules of their own, and reading ones come first', () => {
    const cases = CASES
    expect(cases.length).toBeGreaterThan(140)
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
    const safeties = cases.map(({ safety }) => safety)
    expect(safeties.indexOf('changes')).toBeGreaterThan(60)
    expect(safeties.slice(0, safeties.indexOf('changes'))).not.toContain('dangerous')
    expect(safeties.slice(safeties.indexOf('dangerous'))).not.toContain('changes')
  })

  it.each([
    ['mtty', () => createMtty({ ports: 2 }), ['the device has no MSI-X', 'the device has P2P']],
    ['bulk', () => createBulk({ memoryBytes: 3 * 4096 + 1, seed: 3 }), ['the device has P2P']],
  ])('all pass on a server of %s, but those about what it has not, or has', async (_, create, reasons) => {
    const findings = await runAll(await benchOf(create()))
    const others = findings.filter(({ status }) => status !== 'pass')
    expect(others.filter(({ status }) => status !== 'not applicable')).toEqual([])
    expect([...new Set(others.map(({ reason }) => reason))]).toEqual(reasons)
    expect(others).toHaveLength(reasons.length + 1)
  })

  it.each(CASES.map(({ name }, index): [string, number] => [name, index]))(
    '%s stands alone',
    async (_, index) => {
      const bench = await benchOf(createBulk({ memoryBytes: 4096, seed: 1 }))
      const [finding] = await runAll(bench, bench.cases.slice(index, index + 1))
      // It is its own business to bring the device where it is wanted.
      if (finding?.status !== 'not applicable') expect(finding?.status).toBe('pass')
      else expect(finding.reason).toBe('the device has P2P')
    },
  )
})

describe('a server that is wrong', () => {
  const wrong: [what: string, options: Partial<ServeOptions>, names: string[]][] = [
    [
      'puts payloads behind errors',
      { quirks: { bareErrors: false } },
      ['region access', 'SET', 'state'].map((what) => `order: the refusal of a ${what} is a bare header`),
    ],
    [
      'keeps the state over a reset',
      { resetKeepsState: true },
      [
        'reset: a reset in STOP_COPY ends in RUNNING',
        'reset: a reset in STOP ends in RUNNING',
        'reset: a reset in RESUMING ends in RUNNING',
      ],
    ],
    ['has a minor of its own', { quirks: { echoMinor: true } }, []],
    [
      'has no reports of memory without a file',
      { quirks: { refuseMessageReports: true } },
      ['logging: a log is started, reported and stopped'],
    ],
  ]

  it.each(wrong)('and %s fails', async (_, options, names) => {
    const findings = await runAll(await benchOf(createMtty(), options))
    const failed = findings.filter(({ status }) => status === 'fail')
    expect(failed.map(({ name }) => name)).toEqual(names)
    for (const { quirk, reason, sent, received } of failed) {
      expect(quirk).toBeUndefined()
      expect([reason, sent, received]).toEqual([expect.any(String), expect.any(String), expect.any(String)])
    }
  })

  it.each(wrong)('and %s is known, where it says what libvfio-user says', async (_, options, names) => {
    const asked = replacing('"stopcopy":{}', '"stopcopx":{}')
    const bench = await benchOf(createMtty(), { maxMessageFds: 8, ...options }, asked)
    expect((await bench.facts()).isLibvfioUser).toBe(true)
    const failed = (await runAll(bench)).filter(({ status }) => status === 'fail')
    expect(failed.map(({ name }) => name)).toEqual(names)
    for (const { quirk } of failed) expect(quirk).toMatch(/^libvfio-user: /)
  })

  it('and answers everything with success fails everywhere, and hangs nowhere', async () => {
    const bench = new WireConformance({ connect: async () => yesServer(), timeoutMs: 200 })
    const findings = await runAll(bench)
    expect(bench.wasGone).toBe(false)
    await bench.close()
    const failed = findings.filter(({ status }) => status === 'fail').length
    expect(failed).toBeGreaterThan(50)
    expect(
      findings.filter(({ status, quirk }) => status === 'pass' && quirk === undefined).length,
    ).toBeLessThan(60)
  })

  it('and goes away is told with the case after which it was gone', async () => {
    let connections = 0
    const bench = new WireConformance({
      connect: async () => {
        if (connections++ > 0) throw new Error('nobody listens')
        return yesServer(60)
      },
      timeoutMs: 200,
    })
    const findings = await runAll(bench)
    const gone = findings.filter(
      ({ reason }) => reason?.startsWith('the server went away after the case') === true,
    )
    expect(gone.length).toBeGreaterThan(50)
    expect(new Set(gone.map(({ reason }) => reason)).size).toBe(1)
    expect(bench.wasGone).toBe(true)
  })

  it('and does not agree on a version cannot be checked', async () => {
    const bench = new WireConformance({ connect: async () => yesServer(0), timeoutMs: 200 })
    await expect(bench.facts()).rejects.toMatchObject({ code: 'EPROTO' })
  })
})

/** Says yes to a number of messages, with 32 bytes of zeros, then ends the connection. */
function yesServer(messages = Number.POSITIVE_INFINITY): ByteDuplex {
  const [client, server] = memoryPair()
  const serve = async (): Promise<void> => {
    for (let count = 0; count < messages; count++) {
      const header = await readExactly(server, 16)
      if (header === undefined) return
      const view = new DataView(header.buffer)
      const [size, command] = [view.getUint32(4, true), view.getUint16(2, true)]
      if (size < 16 || size > 65_536 || (await readExactly(server, size - 16)) === undefined) break
      const payload =
        command === 1 ? new TextEncoder().encode('\0\0\u0001\0{"capabilities":{}}\0') : new Uint8Array(32)
      view.setUint32(4, 16 + payload.length, true)
      view.setUint32(8, 1, true)
      await server.write([header, payload])
    }
    await server.abort(undefined)
  }
  serve().catch(() => {})
  return client
}

async function readExactly(
  source: ByteDuplex,
  byteLength: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(byteLength)
  for (let at = 0; at < byteLength;) {
    const count = await source.read(bytes.subarray(at))
    if (count === 0) return undefined
    at += count
  }
  return bytes
}
