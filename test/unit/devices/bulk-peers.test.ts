import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BulkDriver,
  type BulkOptions,
  type BulkP2pEvent,
  BulkRegister,
  createBulk,
  createMtty,
  DescriptorOp,
  DescriptorStatus,
  linkBulkPeers,
  verifyBulkWorkload,
} from '../../../src/devices/index.ts'
import { DeviceState, VfioDevice } from '../../../src/index.ts'
import {
  contents,
  descriptorStatus,
  fakeTime,
  post,
  register,
  setRegister,
  ticks,
  until,
} from '../../support/bulk-device.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { drain } from '../driver/session-io.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY, PRE_COPY_P2P, RUNNING_P2P } = DeviceState
const MEMORY_BYTES = 3_000_005
const { DONE, ERROR, PENDING } = DescriptorStatus
const opened: VfioDevice[] = []

afterEach(async () => {
  vi.restoreAllMocks()
  for (const device of opened.splice(0)) await device.close()
})

type Linked = { bulks: BulkDriver[]; devices: VfioDevice[]; events: BulkP2pEvent[] }

/** Open devices, linked, that work as told; seeds 1, 2, ... */
async function linked(count: number, options: Partial<BulkOptions> = {}): Promise<Linked> {
  const bulks = Array.from({ length: count }, (_, i) =>
    createBulk({
      memoryBytes: MEMORY_BYTES,
      ...options,
      ...(options.workload && { workload: { ...options.workload, seed: i + 1 } }),
    }),
  )
  const events: BulkP2pEvent[] = []
  linkBulkPeers(bulks, { onP2p: (event) => events.push(event) })
  const devices = await Promise.all(bulks.map((bulk) => VfioDevice.open(bulk)))
  opened.push(...devices)
  return { bulks, devices, events }
}

const busy = {
  seed: 9,
  workload: { pagesPerSecond: 20_000, p2pPagesPerSecond: 20_000 },
} as const

/** Barrier by barrier. */
async function all(devices: VfioDevice[], ...states: DeviceState[]): Promise<void> {
  for (const state of states) await Promise.all(devices.map((device) => device.setState(state)))
}

async function expectAllVerified(bulks: BulkDriver[]): Promise<void> {
  const devices = bulks.map(({ workload, p2pSequence }) => ({ seed: workload.seed, p2pSequence }))
  for (const [index, bulk] of bulks.entries()) {
    const { sequence, workload, reservedBytes } = bulk
    expect(
      await verifyBulkWorkload(bulk.memory, {
        seed: 9,
        sequence,
        workload,
        reservedBytes,
        p2p: { index, devices },
      }),
    ).toEqual({ matches: true })
  }
}

function postPeer(
  bulk: BulkDriver,
  index: number,
  op: number,
  peer: number,
  dst: number,
  src: number,
  n: number,
) {
  post(bulk, index, op | (peer << 16), BigInt(dst), BigInt(src), BigInt(n))
}

function ring(bulk: BulkDriver, tail: number): void {
  setRegister(bulk, BulkRegister.CONTROL, 3)
  setRegister(bulk, BulkRegister.RING_TAIL, tail)
}

describe('linkBulkPeers', () => {
  it('refuses less than two, the same twice, what is linked, and what is no bulk', () => {
    const [a, b, c] = [1, 2, 3].map(() => createBulk({ memoryBytes: 4096 })) as [
      BulkDriver,
      BulkDriver,
      BulkDriver,
    ]
    const refused = expect.objectContaining({ code: 'EINVAL' })
    expect(() => linkBulkPeers([])).toThrow(refused)
    expect(() => linkBulkPeers([a])).toThrow(refused)
    expect(() => linkBulkPeers([a, a])).toThrow(refused)
    expect(() => linkBulkPeers([a, createMtty() as unknown as BulkDriver])).toThrow(refused)
    const link = linkBulkPeers([a, b])
    expect(() => linkBulkPeers([c, b])).toThrow(refused)
    link.unlink()
    linkBulkPeers([c, b])
  })

  it('without it nothing goes to peers, and after unlink nothing more', async () => {
    const bulks = [1, 2].map(() => createBulk({ memoryBytes: MEMORY_BYTES, ...busy }))
    opened.push(...(await Promise.all(bulks.map((bulk) => VfioDevice.open(bulk)))))
    await until(() => bulks[0]!.sequence > 100n)
    expect(bulks[0]!.p2pSequence).toBe(0n)
    const link = linkBulkPeers(bulks)
    await until(() => bulks.every(({ p2p }) => p2p.accepted > 5))
    link.unlink()
    const { started, finished } = bulks[0]!.p2p
    expect(started).toBe(finished)
    const { sequence } = bulks[0]!
    await until(() => bulks[0]!.sequence > sequence + 100n)
    expect(bulks[0]!.p2p.started).toBe(started)
  })
})

describe('records to peers', () => {
  it.each([2, 3, 5])(
    'of %i devices stand where they must when all stop, and none was refused',
    async (count) => {
      const { bulks, devices, events } = await linked(count, busy)
      await until(() => bulks.every(({ p2pSequence, p2p }) => p2pSequence > 700n && p2p.accepted > 5))
      await all(devices, RUNNING_P2P, STOP)
      for (const { p2p } of bulks) {
        expect(p2p.refused).toBe(0)
        expect(p2p.started).toBe(p2p.finished)
        expect(p2p.accepted).toBeGreaterThan(5)
      }
      for (const { kind, device, peer } of events) expect([kind, device]).not.toEqual([kind, peer])
      await expectAllVerified(bulks)
    },
  )

  it('are dropped by a peer without reserved pages', async () => {
    const { bulks, devices } = await linked(2, { ...busy, reservedBytes: 0 })
    await until(() => bulks.every(({ p2pSequence }) => p2pSequence > 100n))
    await all(devices, RUNNING_P2P, STOP)
    expect(bulks.map(({ p2p }) => p2p.accepted + p2p.refused)).toEqual([0, 0])
    await expectAllVerified(bulks)
  })

  it('reach a peer in their order, however many are due at a time', async () => {
    const time = fakeTime()
    const { bulks, devices } = await linked(3, {
      ...busy,
      workload: { pagesPerSecond: 1000, p2pPagesPerSecond: 100_000 },
    })
    for (const ms of [100, 1, 30, 0, 2, 100, 7, 1]) {
      time.advance(ms)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await all(devices, RUNNING_P2P, STOP)
    expect(bulks[0]!.p2pSequence).toBeGreaterThan(10_000n)
    await expectAllVerified(bulks)
  })

  it('follow the rate, and the throttle', async () => {
    const time = fakeTime()
    const { bulks, devices } = await linked(2, busy)
    time.advance(50)
    await ticks()
    expect(bulks.map(({ p2pSequence }) => p2pSequence)).toEqual([1000n, 1000n])
    await devices[0]!.throttle(50)
    time.advance(50)
    await ticks()
    expect(bulks.map(({ p2pSequence }) => p2pSequence)).toEqual([1500n, 2000n])
  })

  it('reach a peer in PRE_COPY, whose pages are sent again', async () => {
    const { bulks, devices } = await linked(2, {
      seed: 9,
      workload: { pagesPerSecond: 0, p2pPagesPerSecond: 5000 },
    })
    const destination = createBulk({ memoryBytes: MEMORY_BYTES })
    const target = await VfioDevice.open(destination)
    opened.push(target)
    const saving = await devices[1]!.setState(PRE_COPY)
    const resuming = await target.setState(RESUMING)
    resuming?.write(drain(saving))
    const { accepted } = bulks[1]!.p2p
    await until(() => bulks[1]!.p2p.accepted > accepted + 20)
    await devices[1]!.setState(PRE_COPY_P2P)
    await devices[0]!.setState(RUNNING_P2P)
    await devices[1]!.setState(STOP_COPY)
    resuming?.write(drain(saving))
    await target.setState(STOP)
    expect(contents(destination).equals(contents(bulks[1]!))).toBe(true)
    await devices[0]!.setState(STOP)
    await expectAllVerified([bulks[0]!, destination])
  })
})

describe('descriptors between peers', () => {
  it('move memory both ways, in more than one tick, and fail where there is none', async () => {
    const { bulks, events } = await linked(2, { seed: 9 })
    const [a, b] = bulks as [BulkDriver, BulkDriver]
    a.memory.write(100, Uint8Array.of(1, 2, 3, 4, 5))
    b.memory.write(7000, Buffer.alloc(1_000_000, 0x5a))
    const requests = [
      [DescriptorOp.TO_PEER, 1, 500, 100, 5, DONE],
      [DescriptorOp.FROM_PEER, 1, 2000, 7000, 1_000_000, DONE],
      [DescriptorOp.TO_PEER, 1, 500, 100, 0, DONE],
      [DescriptorOp.TO_PEER, 0, 500, 100, 5, ERROR],
      [DescriptorOp.TO_PEER, 2, 500, 100, 5, ERROR],
      [DescriptorOp.TO_PEER, 1, MEMORY_BYTES - 4, 100, 5, ERROR],
      [DescriptorOp.TO_PEER, 1, 500, MEMORY_BYTES - 4, 5, ERROR],
      [DescriptorOp.FROM_PEER, 1, MEMORY_BYTES - 4, 0, 5, ERROR],
      [DescriptorOp.FROM_PEER, 1, 0, 2 ** 60, 5, ERROR],
      [DescriptorOp.FROM_PEER, 1, 0, 0, 2 ** 20 + 1, ERROR],
    ] as const
    for (const [index, [op, peer, dst, src, n]] of requests.entries())
      postPeer(a, index, op, peer, dst, src, n)
    ring(a, requests.length)
    await until(() => register(a, BulkRegister.RING_HEAD) === requests.length)
    expect(requests.map((_, index) => descriptorStatus(a, index))).toEqual(
      requests.map((request) => request[5]),
    )
    expect([...contents(b).subarray(500, 505)]).toEqual([1, 2, 3, 4, 5])
    expect(contents(a).subarray(2000, 1_002_000).equals(contents(b).subarray(7000, 1_007_000))).toBe(true)
    // Four steps of 256 KiB at the most.
    expect(events.filter(({ kind, bytes }) => kind === 'accepted' && bytes > 200_000)).toHaveLength(4)
    expect(b.p2p.refused).toBe(0)
    expect(a.p2p.started).toBe(a.p2p.finished)
  })

  it('fail without a link', async () => {
    const bulk = createBulk({ memoryBytes: 4096 })
    opened.push(await VfioDevice.open(bulk))
    postPeer(bulk, 0, DescriptorOp.TO_PEER, 1, 0, 0, 1)
    ring(bulk, 1)
    await until(() => descriptorStatus(bulk, 0) === ERROR)
    expect(register(bulk, BulkRegister.RING_HEAD)).toBe(1)
  })

  it.each([RUNNING_P2P, PRE_COPY_P2P])(
    'wait in state %i, those behind them too, until it is left',
    async (state) => {
      const { bulks, devices } = await linked(2, { seed: 9 })
      const [a, b] = bulks as [BulkDriver, BulkDriver]
      await devices[0]!.setState(state)
      post(a, 0, DescriptorOp.FILL, 0n, 1n, 16n)
      postPeer(a, 1, DescriptorOp.TO_PEER, 1, 500, 0, 5)
      post(a, 2, DescriptorOp.FILL, 0n, 2n, 16n)
      postPeer(b, 0, DescriptorOp.TO_PEER, 0, 600, 0, 5)
      ring(a, 3)
      ring(b, 1)
      // The peer is not quiet: its own goes through.
      await until(() => descriptorStatus(a, 0) === DONE && descriptorStatus(b, 0) === DONE)
      await ticks()
      expect([descriptorStatus(a, 1), descriptorStatus(a, 2), a.p2p.started]).toEqual([PENDING, PENDING, 0])
      await devices[0]!.setState(RUNNING)
      await until(() => descriptorStatus(a, 2) === DONE)
      expect(contents(b)[504]).toBe(1)
    },
  )
})

describe('P2P states', () => {
  it.each([
    [RUNNING, RUNNING_P2P],
    [PRE_COPY, PRE_COPY_P2P],
  ] as const)(
    '%i to %i waits for what is outstanding, starts none, and takes those of peers',
    async (from, to) => {
      const { bulks, devices, events } = await linked(2, busy)
      const [a] = bulks as [BulkDriver]
      await devices[0]!.setState(from)
      postPeer(a, 0, DescriptorOp.TO_PEER, 1, 2_900_000, 0, 100_000)
      ring(a, 1)
      await until(() => events.some(({ device, bytes }) => device === 0 && bytes === 100_000))
      expect(descriptorStatus(a, 0)).toBe(PENDING)
      await devices[0]!.setState(to)
      expect(descriptorStatus(a, 0)).toBe(DONE)
      const { started, finished, accepted } = a.p2p
      expect(started).toBe(finished)
      const { sequence } = a
      await until(() => a.p2p.accepted > accepted + 10 && a.sequence > sequence + 100n)
      expect(a.p2p.started).toBe(started)
      await devices[0]!.setState(from)
      await until(() => a.p2p.started > started)
    },
  )

  it('an abort while it waits is EINTR, and peer-to-peer DMA goes on', async () => {
    const { bulks, devices, events } = await linked(2, { seed: 9 })
    const [a, b] = bulks as [BulkDriver, BulkDriver]
    postPeer(a, 0, DescriptorOp.TO_PEER, 1, 0, 100, 1_000_000)
    postPeer(a, 1, DescriptorOp.TO_PEER, 1, 0, 100, 1_000_000)
    ring(a, 2)
    await until(() => events.some(({ kind }) => kind === 'accepted'))
    const abort = new AbortController()
    const failed = failureOf(() => devices[0]!.setState(STOP, { signal: abort.signal }))
    await new Promise((resolve) => setImmediate(resolve))
    abort.abort()
    expect(await failed).toMatchObject({ code: 'EINTR', state: RUNNING })
    await until(() => register(a, BulkRegister.RING_HEAD) === 2)
    expect([descriptorStatus(a, 0), descriptorStatus(a, 1)]).toEqual([DONE, DONE])
    expect(b.p2p.refused).toBe(0)
  })

  it.each([STOP, STOP_COPY, RESUMING])(
    'what reaches a device in state %i is refused, counted and told',
    async (state) => {
      const { bulks, devices, events } = await linked(2, busy)
      const [a, b] = bulks as [BulkDriver, BulkDriver]
      await until(() => b.p2p.accepted > 0)
      // Against the rule: device 0 was not asked to be quiet.
      await devices[1]!.setState(state)
      const before = contents(b)
      const { accepted } = b.p2p
      postPeer(a, 0, DescriptorOp.TO_PEER, 1, 0, 0, 16)
      ring(a, 1)
      await until(() => descriptorStatus(a, 0) === ERROR)
      expect(b.p2p.refused).toBeGreaterThan(0)
      expect(b.p2p.accepted).toBe(accepted)
      expect(events.filter(({ kind }) => kind === 'refused').length).toBe(b.p2p.refused)
      expect(events.find(({ kind }) => kind === 'refused')).toMatchObject({ device: 1, peer: 0 })
      expect(contents(b).equals(before)).toBe(true)
    },
  )

  it('a reset under way of transfers ends them, and the device works again', async () => {
    const { bulks, devices } = await linked(2, busy)
    const [a] = bulks as [BulkDriver]
    await until(() => a.p2p.accepted > 5)
    await devices[0]!.reset()
    await until(() => a.p2pSequence > 100n)
    await devices[0]!.setState(RUNNING_P2P)
    expect(a.p2p.started).toBe(a.p2p.finished)
  })

  it('closed in a P2P state and opened again, a device is not quiet', async () => {
    const { bulks, devices } = await linked(2, busy)
    const [a] = bulks as [BulkDriver]
    await devices[0]!.setState(RUNNING_P2P)
    await devices[0]!.close()
    opened[0] = await VfioDevice.open(a)
    const { started } = a.p2p
    await until(() => a.p2p.started > started)
    expect(await codeOf(() => opened[0]!.state())).toBe('ok')
  })
})

describe('linked devices that migrate', () => {
  it.each([STOP_COPY, PRE_COPY])(
    'by way of %i: none stops while a peer can start, and all verifies',
    async (by) => {
      const source = await linked(3, busy)
      const destination = await linked(3)
      await until(() => source.bulks.every(({ p2pSequence }) => p2pSequence > 300n))
      await all(destination.devices, RUNNING_P2P, STOP)
      const streams = await Promise.all(
        destination.devices.map(async (device, index) => {
          const resuming = await device.setState(RESUMING)
          const saving = by === PRE_COPY ? await source.devices[index]!.setState(PRE_COPY) : undefined
          return { resuming, saving }
        }),
      )
      for (const { resuming, saving } of streams) if (saving) resuming?.write(drain(saving))
      if (by === PRE_COPY) await all(source.devices, PRE_COPY_P2P)
      else await all(source.devices, RUNNING_P2P)
      const quietAt = performance.now()
      // One by one: what the others still do must not reach a peer.
      for (const [index, device] of source.devices.entries()) {
        const { resuming, saving } = streams[index]!
        const opening = await device.setState(STOP_COPY)
        resuming?.write(drain(saving ?? opening))
        await ticks()
      }
      await all(destination.devices, STOP)
      await expectAllVerified(destination.bulks)
      expect(source.events.filter(({ kind, at }) => kind === 'start' && at > quietAt)).toEqual([])
      expect(source.events.filter(({ kind }) => kind === 'refused')).toEqual([])

      await all(destination.devices, RUNNING_P2P)
      await until(() =>
        destination.bulks.every(({ sequence }, i) => sequence > source.bulks[i]!.sequence + 50n),
      )
      expect(destination.events.filter(({ kind }) => kind === 'start')).toEqual([])
      await all(destination.devices, RUNNING)
      await until(() =>
        destination.bulks.every(({ p2pSequence }, i) => p2pSequence > source.bulks[i]!.p2pSequence + 300n),
      )
      await all(destination.devices, RUNNING_P2P, STOP)
      await expectAllVerified(destination.bulks)
      expect(destination.events.filter(({ kind }) => kind === 'refused')).toEqual([])
    },
  )
})
