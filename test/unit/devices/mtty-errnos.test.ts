import { describe, expect, it } from 'vitest'
import type { VfioDevice } from '../../../src/device/vfio-device.ts'
import type { MttyOptions } from '../../../src/devices/mtty/mtty.ts'
import { MttyResumeEnd } from '../../../src/devices/mtty/resume-end.ts'
import { MttySaveEnd } from '../../../src/devices/mtty/save-end.ts'
import { POLLIN, POLLRDNORM } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import {
  enter,
  errnoOf,
  goldenStream,
  openMtty,
  patched,
  playRecordedScenario,
  save,
} from '../../support/mtty-device.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = DeviceState
const GOOD = goldenStream('fresh-1-port')
const BAD_MAGIC = patched(GOOD, { 0: 0 })
const LOGGED = { pageSize: 4096, ranges: [{ iova: 0n, length: 0x10000n }] }
const REPORTED = { iova: 0n, length: 0x10000n, pageSize: 4096 }

async function open(profile: MttyOptions['profile']): Promise<VfioDevice> {
  return (await openMtty({ profile: profile ?? 'strict' })).device
}

describe("B.2, mtty's column, profile exact", () => {
  it('B.2 capability set: 7 and logging', async () => {
    const device = await open('exact')
    expect(await device.migrationFlags()).toBe(7)
    expect(await device.dmaLoggingStart(LOGGED)).toBe(4096)
  })

  it('B.2 DATA_SIZE: 60 and 96', async () => {
    expect(await (await open('exact')).stopCopyLength()).toBe(60)
    expect(await (await openMtty({ ports: 2, profile: 'exact' })).device.stopCopyLength()).toBe(96)
  })

  it('B.2 read at end in PC: 0', async () => {
    const session = await enter(await open('exact'), PRE_COPY)
    expect(session.read(new Uint8Array(60))).toBe(24)
    expect(session.read(new Uint8Array(60))).toBe(0)
  })

  it('B.2 read at end in SC: 0', async () => {
    const session = await enter(await open('exact'), STOP_COPY)
    expect(session.read(new Uint8Array(100))).toBe(60)
    expect([session.read(new Uint8Array(1)), session.read(new Uint8Array(1))]).toEqual([0, 0])
  })

  it('B.2 read after session: ENODEV', async () => {
    const device = await open('exact')
    const session = await enter(device, STOP_COPY)
    await device.setState(STOP)
    expect(await errnoOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
  })

  it('B.2 write after session: ENODEV, ENOMEM if also too long; the position is 0 again', async () => {
    const device = await open('exact')
    const session = await enter(device, RESUMING)
    session.write(GOOD)
    await device.setState(STOP)
    expect(await errnoOf(() => session.write(Uint8Array.of(0)))).toBe('ENODEV')
    expect(await errnoOf(() => session.write(GOOD))).toBe('ENODEV')
    expect(await errnoOf(() => session.write(new Uint8Array(61)))).toBe('ENOMEM')
  })

  it('B.2 write past capacity: ENOMEM, nothing consumed', async () => {
    const device = await open('exact')
    const session = await enter(device, RESUMING)
    expect(await errnoOf(() => session.write(new Uint8Array(61)))).toBe('ENOMEM')
    session.write(GOOD.subarray(0, 50))
    expect(await errnoOf(() => session.write(GOOD.subarray(49)))).toBe('ENOMEM')
    session.write(GOOD.subarray(50))
    expect(await device.setState(STOP)).toBeUndefined()
  })

  it('B.2 position overflow: EINVAL, before ENOMEM', async () => {
    const end = new MttyResumeEnd(1, true)
    end.write(Uint8Array.of(0x4e))
    expect(await errnoOf(() => end.admit(Number.MAX_SAFE_INTEGER))).toBe('EINVAL')
    expect(await errnoOf(() => end.admit(Number.MAX_SAFE_INTEGER - 1))).toBe('ENOMEM')
  })

  it('B.2 bad header: EFAULT once, consumed, not sticky; the load still succeeds (weakness 1)', async () => {
    const device = await open('exact')
    const session = await enter(device, RESUMING)
    expect(await errnoOf(() => session.write(BAD_MAGIC.subarray(0, 30)))).toBe('EFAULT')
    expect(session.write(BAD_MAGIC.subarray(30))).toBe(30)
    await device.setState(RUNNING)
    expect(await device.state()).toBe(RUNNING)
  })

  it('B.2 bad header: one write of a whole stream is EFAULT and still loads', async () => {
    const device = await open('exact')
    const session = await enter(device, RESUMING)
    expect(await errnoOf(() => session.write(patched(BAD_MAGIC, { 31: 0x77 })))).toBe('EFAULT')
    await device.setState(STOP)
    expect(await save(device)).toEqual(patched(GOOD, { 31: 0x77 }))
  })

  it('B.2 truncated stream, RES to S: EINVAL, stays RES, retry possible', async () => {
    const device = await open('exact')
    const session = await enter(device, RESUMING)
    session.write(GOOD.subarray(0, 59))
    expect(await errnoOf(() => device.setState(STOP))).toBe('EINVAL')
    expect(await device.state()).toBe(RESUMING)
    session.write(GOOD.subarray(59))
    await device.setState(STOP)
    expect(await device.state()).toBe(STOP)
  })

  it('B.2 poll on save fd: always ready, at the temporary end too', async () => {
    const session = await enter(await open('exact'), PRE_COPY)
    session.read(new Uint8Array(24))
    expect(session.poll()).toBe(POLLIN | POLLRDNORM)
  })

  it('B.2 O_NONBLOCK irrelevant: never EAGAIN, a short read instead', () => {
    const end = new MttySaveEnd(1, true)
    expect([
      end.read(new Uint8Array(20)),
      end.read(new Uint8Array(20)),
      end.read(new Uint8Array(20)),
    ]).toEqual([20, 4, 0])
  })

  it('B.2 deferred reset: a racing SET may succeed with a dead session, and the state is RUNNING', async () => {
    const device = await open('exact')
    const [transition] = await Promise.all([device.setState(STOP_COPY), device.reset()])
    expect(await errnoOf(() => transition?.read(new Uint8Array(1)))).toBe('ENODEV')
    expect(await device.state()).toBe(RUNNING)
  })
})

describe('createMtty', () => {
  it.each([{ ports: 0 }, { ports: 3 }, { ports: '1' }, { profile: 'linux' }, { profile: null }])(
    'refuses options %o with EINVAL',
    async (options) => {
      expect(await errnoOf(() => openMtty(options as MttyOptions))).toBe('EINVAL')
    },
  )
})

describe('B.3 header fields, each compared', () => {
  const fields: [string, number][] = [
    ['magic', 7],
    ['major', 8],
    ['minor', 12],
    ['nr_ports', 16],
    ['flags', 20],
    ['flags, last byte', 23],
  ]

  it.each(fields)('a different %s is EFAULT in exact', async (_, offset) => {
    const session = await enter(await open('exact'), RESUMING)
    const stream = patched(GOOD, { [offset]: (GOOD[offset] ?? 0) ^ 0x02 })
    expect(await errnoOf(() => session.write(stream))).toBe('EFAULT')
  })

  it.each(fields)('a different %s is EINVAL in strict, with section and offset', async (_, offset) => {
    const session = await enter(await open('strict'), RESUMING)
    const stream = patched(GOOD, { [offset]: (GOOD[offset] ?? 0) ^ 0x02 })
    expect(() => session.write(stream)).toThrow(
      expect.objectContaining({ code: 'EINVAL', section: 'header', offset: offset < 8 ? 0 : offset & ~3 }),
    )
  })

  it('the header is compared by the write that completes it, wherever it is cut', async () => {
    const session = await enter(await open('exact'), RESUMING)
    for (let at = 0; at < 23; at++) expect(session.write(BAD_MAGIC.subarray(at, at + 1))).toBe(1)
    expect(await errnoOf(() => session.write(BAD_MAGIC.subarray(23, 24)))).toBe('EFAULT')
    expect(session.write(BAD_MAGIC.subarray(24))).toBe(36)
  })

  it('a stream of the other number of ports is refused by both sizes', async () => {
    const one = await enter(await open('strict'), RESUMING)
    expect(await errnoOf(() => one.write(goldenStream('fresh-2-ports').subarray(0, 60)))).toBe('EINVAL')
    const two = await enter((await openMtty({ ports: 2 })).device, RESUMING)
    expect(await errnoOf(() => two.write(GOOD))).toBe('EINVAL')
  })
})

describe('F suggestions, profile strict', () => {
  it('F temp end in PC: ENOMSG, and poll is 0 until STOP_COPY has the rest', async () => {
    const device = await open('strict')
    const session = await enter(device, PRE_COPY)
    expect(session.poll()).toBe(POLLIN | POLLRDNORM)
    session.read(new Uint8Array(24))
    expect(await errnoOf(() => session.read(new Uint8Array(1)))).toBe('ENOMSG')
    expect(session.poll()).toBe(0)
    const ready = session.ready(POLLIN)
    await device.setState(STOP_COPY)
    expect(await ready).toBe(POLLIN)
    expect([session.read(new Uint8Array(100)), session.read(new Uint8Array(100))]).toEqual([36, 0])
    expect(session.poll()).toBe(POLLIN | POLLRDNORM)
  })

  it('F bad header: fails the write, sticky, RES to S fails too, a new session starts fresh', async () => {
    const device = await open('strict')
    const session = await enter(device, RESUMING)
    expect(await errnoOf(() => session.write(BAD_MAGIC.subarray(0, 24)))).toBe('EINVAL')
    expect(await errnoOf(() => session.write(BAD_MAGIC.subarray(24)))).toBe('EINVAL')
    expect(await errnoOf(() => device.setState(STOP))).toBe('EINVAL')
    expect(await device.state()).toBe(RESUMING)
    await device.reset()
    const second = await enter(device, RESUMING)
    expect(second.write(GOOD)).toBe(60)
    await device.setState(STOP)
    expect(await device.state()).toBe(STOP)
  })

  it('F truncated stream: EINVAL, stay RES', async () => {
    for (const byteLength of [0, 24, 59]) {
      const device = await open('strict')
      const session = await enter(device, RESUMING)
      session.write(GOOD.subarray(0, byteLength))
      expect(await errnoOf(() => device.setState(RUNNING))).toBe('EINVAL')
      expect(await device.state()).toBe(RESUMING)
    }
  })

  it('F too long: ENOMEM, nothing consumed, not sticky', async () => {
    const device = await open('strict')
    const session = await enter(device, RESUMING)
    expect(await errnoOf(() => session.write(new Uint8Array(61)))).toBe('ENOMEM')
    session.write(GOOD)
    expect(await errnoOf(() => session.write(Uint8Array.of(0)))).toBe('ENOMEM')
    await device.setState(STOP)
    expect(await device.state()).toBe(STOP)
  })

  it('F too long on a dead fd: ENODEV first', async () => {
    const device = await open('strict')
    const session = await enter(device, RESUMING)
    await device.reset()
    expect(await errnoOf(() => session.write(new Uint8Array(61)))).toBe('ENODEV')
  })

  it('a window never reaches past the stream; committing to the scratch behind it fails as content', async () => {
    const device = await open('strict')
    const session = await enter(device, RESUMING)
    session.write(GOOD.subarray(0, 50))
    const window = session.window(4096)
    expect(window.length).toBe(10)
    window.set(GOOD.subarray(50))
    session.commit(10)
    expect(session.window(4096).length).toBeGreaterThan(0)
    session.commit(0)
    session.window(1)
    expect(await errnoOf(() => session.commit(1))).toBe('EINVAL')
    expect(await errnoOf(() => session.write(new Uint8Array(0)))).toBe('EINVAL')
    expect(await errnoOf(() => device.setState(STOP))).toBe('EINVAL')
    expect(await device.state()).toBe(RESUMING)
  })

  it('profile exact forgets bytes committed behind the stream, as it does those written there', async () => {
    const device = await open('exact')
    const session = await enter(device, RESUMING)
    session.write(GOOD)
    session.window(1)
    expect(await errnoOf(() => session.commit(1))).toBe('ENOMEM')
    expect(session.write(new Uint8Array(0))).toBe(0)
    await device.setState(STOP)
  })

  it('a stream that comes through windows of any size is loaded, a bad header in one refused', async () => {
    const device = await open('strict')
    const session = await enter(device, RESUMING)
    for (let at = 0; at < GOOD.length;) {
      const window = session.window(7)
      window.set(GOOD.subarray(at, at + window.length))
      session.commit(window.length)
      at += window.length
    }
    await device.setState(STOP)
    const refusing = await enter(device, RESUMING)
    refusing.window(60).set(BAD_MAGIC)
    expect(await errnoOf(() => refusing.commit(60))).toBe('EINVAL')
    expect(await errnoOf(() => refusing.window(1))).toBe('EINVAL')
  })

  it('the write side of a driver keeps its refusal without the session, too', async () => {
    const end = new MttyResumeEnd(1, false)
    expect(await errnoOf(() => end.write(BAD_MAGIC))).toBe('EINVAL')
    expect(await errnoOf(() => end.write(GOOD))).toBe('EINVAL')
    expect(await errnoOf(() => end.complete())).toBe('EINVAL')
  })
})

describe('A.6 DMA logging', () => {
  it('A.6 mtty: START while started is 0, REPORT while stopped is 0 without bits, the page size is untouched', async () => {
    const device = await open('exact')
    const bitmap = new Uint8Array(8)
    await device.dmaLoggingReport(REPORTED, bitmap)
    expect(await device.dmaLoggingStart({ ...LOGGED, pageSize: 512 })).toBe(512)
    expect(await device.dmaLoggingStart(LOGGED)).toBe(4096)
    await device.dmaLoggingReport(REPORTED, bitmap)
    await device.dmaLoggingStop()
    await device.dmaLoggingStop()
    expect(bitmap).toEqual(new Uint8Array(8))
  })

  it('A.6 suggested: START while started and REPORT while stopped are EINVAL, STOP while stopped is 0', async () => {
    const device = await open('strict')
    const bitmap = new Uint8Array(8)
    await device.dmaLoggingStop()
    expect(await errnoOf(() => device.dmaLoggingReport(REPORTED, bitmap))).toBe('EINVAL')
    expect(await device.dmaLoggingStart(LOGGED)).toBe(4096)
    expect(await errnoOf(() => device.dmaLoggingStart(LOGGED))).toBe('EINVAL')
    await device.dmaLoggingReport(REPORTED, bitmap)
    expect(bitmap).toEqual(new Uint8Array(8))
  })
})

describe('B.9 leaving RESUMING leaves the content alone when it is refused', () => {
  it.each(['strict', 'exact'] as const)(
    '%s keeps the old UART after a truncated stream and a reset',
    async (profile) => {
      const { device } = await openMtty({ ports: 2, profile })
      playRecordedScenario(device)
      const session = await enter(device, RESUMING)
      session.write(goldenStream('fresh-2-ports').subarray(0, 90))
      expect(await errnoOf(() => device.setState(STOP))).toBe('EINVAL')
      await device.reset()
      expect(await save(device)).toEqual(goldenStream('linux-6.12-recorded'))
    },
  )
})
