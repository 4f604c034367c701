/** The transports of browsers, in one: a working device goes over each of them, and not when it is disturbed. */

import type { Page } from 'playwright-core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hasChromium } from '../support/chromium.ts'
import { type End, endIn, endInNode, endWorker, openPlaces, type Outcome, type Places } from './places.ts'

const MiB = 2 ** 20
const MEMORY_BYTES = 8 * MiB
/** Of every transport here: bytes in flight, and with them the memory of both ends. */
const WINDOW_BYTES = 4 * MiB
/** What a data channel, and a WebSocket, may hold by itself before no more is given to it. */
const CHANNEL_BYTES = 1 * MiB
const SOCKET_BYTES = 2 * MiB
/** Control messages of a few bytes each, which nothing counts. */
const CONTROL_BYTES = 16 * 1024
/** In the middle: a bit is wrong here, or a destination stops reading. */
const HALFWAY_BYTES = 2 * MiB
/** For a machine that is slow: nothing here waits for a limit that is meant. */
const LONG_MS = 60_000
/** How long a silent end is waited for: one that is told of, unless that is lost, and one that is not. */
const TOLD_MS = 12_000
const UNTOLD_MS = 4000

/** Two ends that are connected, and what breaks the connection. */
interface Pair {
  readonly source: End
  readonly destination: End
  /** The largest message. */
  readonly messageBytes: number
  /** What the channel itself may hold. */
  readonly channelBytes?: number
  /** Breaks the connection, as it may break here. */
  readonly cuts: Readonly<Record<string, () => unknown>>
}

type Hold = { holdAfterBytes?: number }
let pairs = 0

async function dataChannel(places: Places, hold: Hold, [one, other] = places.tabs): Promise<Pair> {
  const name = `pair-${++pairs}`
  const source = endIn(one, `${name}-source`)
  const destination = endIn(other, `${name}-destination`)
  await open(source, destination)
  await Promise.all([
    destination.do('connect', { kind: 'rtc-answer', name, ...hold }),
    source.do('connect', { kind: 'rtc-offer', name }),
  ])
  return {
    source,
    destination,
    messageBytes: 64 * 1024,
    channelBytes: CHANNEL_BYTES,
    cuts: {
      'the peer connection is closed at the destination': () => destination.do('sever'),
      'the peer connection is closed at the source': () => source.do('sever'),
    },
  }
}

async function broadcast(places: Places, hold: Hold, tab: Page = places.tabs[1]): Promise<Pair> {
  const name = `pair-${++pairs}`
  const source = endIn(places.tabs[0], `${name}-source`)
  const destination = endIn(tab, `${name}-destination`)
  await open(source, destination)
  await Promise.all([
    destination.do('connect', { kind: 'broadcast-accept', name, ...hold }),
    source.do('connect', { kind: 'broadcast-connect', name }),
  ])
  return { source, destination, messageBytes: MiB, cuts: {} }
}

/** To a tab that is there for that, and can be closed. */
async function broadcastToNewTab(places: Places, hold: Hold): Promise<Pair> {
  const tab = await places.openTab()
  return { ...(await broadcast(places, hold, tab)), cuts: { 'the tab is closed': () => tab.close() } }
}

async function ports(places: Places, hold: Hold): Promise<Pair> {
  const name = `pair-${++pairs}`
  const [page] = places.tabs
  const source = endIn(page, `${name}-source`, 'Worker 1')
  const destination = endIn(page, `${name}-destination`, 'Worker 2')
  await open(source, destination)
  await Promise.all([
    destination.do('connect', { kind: 'port', name, ...hold }),
    source.do('connect', { kind: 'port', name }),
  ])
  return {
    source,
    destination,
    messageBytes: MiB,
    cuts: { 'the Worker is ended': () => endWorker(page, 'Worker 2') },
  }
}

async function webSocket(places: Places, hold: Hold): Promise<Pair> {
  const { end: destination, url, cut, close } = await endInNode(places.origin)
  onTestFinished(close)
  const source = endIn(places.tabs[0], `pair-${++pairs}-source`)
  await open(source, destination)
  await Promise.all([
    destination.do('connect', { kind: 'accept', ...hold }),
    source.do('connect', { kind: 'web-socket', url }),
  ])
  return {
    source,
    destination,
    messageBytes: MiB,
    channelBytes: SOCKET_BYTES,
    cuts: { 'the network is cut': cut },
  }
}

async function webSocketFromNode(places: Places): Promise<Pair> {
  const { end: source, url, close } = await endInNode(places.origin)
  onTestFinished(close)
  const destination = endIn(places.tabs[0], `pair-${++pairs}-destination`)
  await open(source, destination)
  await Promise.all([
    source.do('connect', { kind: 'accept' }),
    destination.do('connect', { kind: 'web-socket', url }),
  ])
  return { source, destination, messageBytes: MiB, cuts: {} }
}

async function open(source: End, destination: End): Promise<void> {
  await source.open(true, MEMORY_BYTES)
  await destination.open(false, MEMORY_BYTES)
}

const TRANSPORTS = {
  'a data channel between two tabs': (places: Places, hold: Hold) => dataChannel(places, hold),
  'a MessagePort between two Workers': ports,
  'a BroadcastChannel between two tabs': (places: Places, hold: Hold) => broadcast(places, hold),
  'a WebSocket from a page to Node': webSocket,
}

describe.runIf(hasChromium)('in a browser', () => {
  const places = openPlaces()

  describe.each(Object.entries(TRANSPORTS))('%s', (_, connect) => {
    it('carries a working device: it works on, nothing is lost, repeated or changed', async () => {
      const pair = await connect(places, {})
      await pair.source.do('watchAnew')
      const [sent, received] = await migrated(pair)
      expect([sent, received]).toMatchObject([{ owner: 'destination' }, { owner: 'destination' }])
      await expectArrived(pair)
      const { bytes, peakBufferedBytes } = await pair.source.watched()
      expect(bytes).toBeGreaterThan(MEMORY_BYTES)
      if (pair.channelBytes === undefined) return
      expect(peakBufferedBytes).toBeGreaterThan(0)
      expect(peakBufferedBytes).toBeLessThanOrEqual(pair.channelBytes + pair.messageBytes + CONTROL_BYTES)
    })

    it('holds no more than its window while the destination does not read, and goes on at its pace', async () => {
      const pair = await connect(places, { holdAfterBytes: HALFWAY_BYTES })
      await pair.source.do('watchAnew')
      const migrating = migrated(pair)
      await held(pair)
      const onTheWay = async (): Promise<number> => {
        const { bytes } = await pair.source.watched()
        return bytes - (await pair.destination.taken()).bytes
      }
      await expect.poll(onTheWay, { timeout: LONG_MS }).toBeGreaterThan(WINDOW_BYTES - 2 * pair.messageBytes)
      // Whoever ignores the window gets far beyond it in this time.
      await new Promise((resolve) => setTimeout(resolve, 300))
      expect(await onTheWay()).toBeLessThanOrEqual(WINDOW_BYTES + CONTROL_BYTES)
      await pair.destination.do('goOn')
      expect(await migrating).toMatchObject([{ owner: 'destination' }, { owner: 'destination' }])
      await expectArrived(pair)
      if (pair.channelBytes === undefined) return
      const { peakBufferedBytes } = await pair.source.watched()
      expect(peakBufferedBytes).toBeLessThanOrEqual(pair.channelBytes + pair.messageBytes + CONTROL_BYTES)
    })

    it('is refused when one bit is wrong, and the device works on where it was', async () => {
      const pair = await connect(places, {})
      await pair.source.do('watchAnew', HALFWAY_BYTES)
      const [sent, received] = await migrated(pair)
      expect(sent).toMatchObject({ code: 'EBADMSG', owner: 'source' })
      expect(sent.message).toMatch(/checksum does not match.*in RUNNING again/)
      expect(received).toMatchObject({ code: 'EBADMSG' })
      await expectStayed(pair)
    })
  })

  it.each([
    ['a data channel in one page', ({ tabs: [tab] }: Places) => dataChannel(places, {}, [tab, tab])],
    ['a WebSocket from Node to a page', webSocketFromNode],
  ])('%s carries a working device, too', async (_, connect) => {
    const pair = await connect(places)
    expect(await migrated(pair)).toMatchObject([{ owner: 'destination' }, { owner: 'destination' }])
    await expectArrived(pair)
  })

  it.each([
    ['a data channel between two tabs', 'the peer connection is closed at the destination'],
    ['a data channel between two tabs', 'the peer connection is closed at the source'],
    ['a WebSocket from a page to Node', 'the network is cut'],
  ] as const)('%s: %s halfway, and the device works on where it was', async (name, cut) => {
    const pair = await TRANSPORTS[name](places, { holdAfterBytes: HALFWAY_BYTES })
    const { sent, received } = migrate(pair, TOLD_MS)
    await held(pair)
    await pair.cuts[cut]?.()
    // The destination still reads nothing: it is not its answer that tells.
    const { code, message, owner } = await sent
    expect(owner).toBe('source')
    expect(message).toMatch(/bulk is in RUNNING again$/)
    // WebRTC tells the other side by one packet, which is lost now and then.
    if (cut === 'the peer connection is closed at the destination')
      expect(code).toMatch(/^(EPIPE|ETIMEDOUT)$/)
    else expect(code).toBe('EPIPE')
    expect(message).toMatch(code === 'EPIPE' ? /: the channel was closed, / : /, look whether it is alive; /)
    await pair.destination.do('goOn')
    expect((await received).code).toMatch(/^(EPIPE|ETIMEDOUT)$/)
    await expectStayed(pair)
  })

  it.each([
    ['a MessagePort between two Workers', 'the Worker is ended', ports],
    ['a BroadcastChannel between two tabs', 'the tab is closed', broadcastToNewTab],
  ] as const)('%s: %s halfway, which only a time limit tells', async (_, cut, connect) => {
    const pair = await connect(places, { holdAfterBytes: HALFWAY_BYTES })
    const { sent, received } = migrate(pair, UNTOLD_MS)
    // It is gone with its tab or Worker.
    received.catch(() => {})
    await held(pair)
    await pair.cuts[cut]?.()
    expect(await sent).toMatchObject({ code: 'ETIMEDOUT', owner: 'source' })
    expect((await sent).message).toMatch(/look whether it is alive; bulk is in RUNNING again/)
    expect(await pair.source.proof()).toEqual({ state: 'RUNNING', worksOn: true, matches: true })
    await pair.source.do('close')
  })

  it('complained of nothing', () => {
    expect(places.complaints).toEqual([])
  })
})

function migrate(
  { source, destination }: Pair,
  silenceMs: number = LONG_MS,
): { sent: Promise<Outcome>; received: Promise<Outcome> } {
  // It would take of a short time.
  const rehearse = silenceMs === LONG_MS
  const received = destination.do<Outcome>('receive', {
    helloTimeoutMs: LONG_MS,
    idleTimeoutMs: silenceMs,
    rehearse,
  })
  return { sent: source.do<Outcome>('migrate', { replyTimeoutMs: silenceMs, rehearse }), received }
}

/** Both ends of a migration, once they are done. */
async function migrated(pair: Pair): Promise<[Outcome, Outcome]> {
  const { sent, received } = migrate(pair)
  return Promise.all([sent, received])
}

/** Waits until the destination has stopped reading. */
async function held({ destination }: Pair): Promise<void> {
  await expect.poll(async () => (await destination.taken()).isHeld, { timeout: LONG_MS }).toBe(true)
}

async function expectArrived({ source, destination }: Pair): Promise<void> {
  const left = await source.handedOver()
  expect(await destination.handedOver()).toEqual(left)
  expect(Number(left.sequence)).toBeGreaterThan(0)
  expect(await source.proof()).toMatchObject({ state: 'STOP', matches: true })
  expect(await destination.proof()).toEqual({ state: 'RUNNING', worksOn: true, matches: true })
  await source.do('close')
  await destination.do('close')
}

async function expectStayed({ source, destination }: Pair): Promise<void> {
  expect(await destination.proof()).toMatchObject({ state: 'STOP', matches: false })
  expect(await source.proof()).toEqual({ state: 'RUNNING', worksOn: true, matches: true })
  await source.do('close')
  await destination.do('close')
}
