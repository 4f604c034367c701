import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty, MTTY_PCI } from '../../../src/devices/index.ts'
import { configurationFingerprint } from '../../../src/driver/configuration.ts'
import { VfioError } from '../../../src/errors.ts'
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

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = DeviceState
const PROFILES = ['strict', 'exact'] as const

describe.each(PROFILES)('B.3 stream of an mtty, profile %s', (profile) => {
  it('is the 60-byte power-on image with one port', async () => {
    const { device } = await openMtty({ profile })
    expect(await save(device)).toEqual(goldenStream('fresh-1-port'))
  })

  it('is the 96-byte power-on image with two ports', async () => {
    const { device } = await openMtty({ ports: 2, profile })
    expect(await save(device)).toEqual(goldenStream('fresh-2-ports'))
  })

  it('is what the running kernel sent, in PRE_COPY and STOP_COPY, read in 16- and 7-byte pieces', async () => {
    const { device } = await openMtty({ ports: 2, profile })
    playRecordedScenario(device)
    const session = await enter(device, PRE_COPY)
    expect(session.precopyInfo()).toEqual({ initialBytes: 24, dirtyBytes: 0, reinit: false })
    const stream: number[] = []
    const take = (size: number): number => {
      const dst = new Uint8Array(size)
      const byteLength = session.read(dst)
      stream.push(...dst.subarray(0, byteLength))
      return byteLength
    }
    expect([take(16), take(16)]).toEqual([16, 8])
    expect(await device.setState(STOP_COPY)).toBeUndefined()
    while (take(7) > 0);
    expect(Uint8Array.from(stream)).toEqual(goldenStream('linux-6.12-recorded'))
  })

  it('restores the recorded stream in 13-byte pieces, data and SCR included', async () => {
    const stream = goldenStream('linux-6.12-recorded')
    const { device } = await openMtty({ ports: 2, profile })
    const session = await enter(device, RESUMING)
    for (let at = 0; at < stream.length; at += 13) session.write(stream.subarray(at, at + 13))
    await device.setState(RUNNING)
    const scratch = new Uint8Array(1)
    device.regions?.read(0, 7, scratch)
    expect(scratch[0]).toBe(0xa5)
    const received = Array.from({ length: 10 }, () => {
      const byte = new Uint8Array(1)
      device.regions?.read(0, 0, byte)
      return byte[0] ?? 0
    })
    expect(String.fromCharCode(...received)).toBe('hello-vfio')
  })

  it('PRE_COPY has the header only, in PRE_COPY_P2P too', async () => {
    const { device } = await openMtty({ profile })
    const session = await enter(device, PRE_COPY_P2P)
    const dst = new Uint8Array(100)
    expect(session.read(dst)).toBe(24)
    expect(dst.subarray(0, 24)).toEqual(goldenStream('fresh-1-port').subarray(0, 24))
    expect(session.precopyInfo()).toEqual({ initialBytes: 0, dirtyBytes: 0, reinit: false })
  })

  it('appends the ports as they are at the arc into STOP_COPY', async () => {
    const { device } = await openMtty({ profile })
    const session = await enter(device, PRE_COPY)
    device.regions?.write(0, 7, Uint8Array.of(0x11))
    await device.setState(STOP_COPY)
    device.regions?.write(0, 7, Uint8Array.of(0x22))
    const dst = new Uint8Array(100)
    expect(session.read(dst)).toBe(60)
    expect(dst[24 + 7]).toBe(0x11)
    await device.setState(STOP)
    expect((await save(device))[24 + 7]).toBe(0x22)
  })

  it('is 60 or 96 bytes by MIG_DATA_SIZE, also when some were read', async () => {
    const { device } = await openMtty({ profile })
    expect(await device.stopCopyLength()).toBe(60)
    const session = await enter(device, STOP_COPY)
    session.read(new Uint8Array(40))
    expect(await device.stopCopyLength()).toBe(60)
    expect(await (await openMtty({ ports: 2, profile })).device.stopCopyLength()).toBe(96)
  })

  it('copies pad bytes as they are', async () => {
    const padded = patched(goldenStream('fresh-1-port'), { [24 + 29]: 0xaa, [24 + 35]: 0x55 })
    const { device } = await openMtty({ profile })
    ;(await enter(device, RESUMING)).write(padded)
    await device.setState(STOP)
    expect(await save(device)).toEqual(padded)
  })

  it('a session closed in PRE_COPY leaves a device that saves', async () => {
    const { device } = await openMtty({ profile })
    ;(await enter(device, PRE_COPY)).close()
    await device.setState(STOP_COPY)
    await device.setState(STOP)
    expect(await save(device)).toEqual(goldenStream('fresh-1-port'))
  })

  it('A.7 a session closed in RESUMING leaves what was written: the load succeeds', async () => {
    const { device } = await openMtty({ ports: 2, profile })
    const session = await enter(device, RESUMING)
    session.write(goldenStream('linux-6.12-recorded'))
    session.close()
    await device.setState(STOP)
    expect(await save(device)).toEqual(goldenStream('linux-6.12-recorded'))
  })

  describe('range checks at RESUMING to STOP', () => {
    const HEAD = 24
    const TAIL = 25
    const COUNT = 26
    const refused: [string, Record<number, number>][] = [
      ['head 16', { [HEAD]: 16 }],
      ['head 255', { [HEAD]: 255 }],
      ['tail 16', { [TAIL]: 16 }],
      ['tail 255', { [TAIL]: 255 }],
      ['count 17', { [COUNT]: 17, [HEAD]: 1 }],
      ['count that is not head - tail', { [COUNT]: 3, [HEAD]: 2 }],
      ['count 0 with head and tail apart', { [HEAD]: 2, [TAIL]: 1 }],
      ['dlab 2', { 27: 2 }],
      ['overrun 2', { 28: 2 }],
      ['max_fifo_size 0', { 33: 0 }],
      ['max_fifo_size 2', { 33: 2 }],
      ['max_fifo_size 17', { 33: 17 }],
      ['trigger level 2', { 34: 2 }],
    ]

    it.each(refused)(
      '%s is EINVAL in either port, the state stays RESUMING, nothing is loaded',
      async (_, fields) => {
        for (const port of [0, 1]) {
          const patch = Object.fromEntries(
            Object.entries(fields).map(([at, value]) => [24 + 36 * port + Number(at), value]),
          )
          const { device } = await openMtty({ ports: 2, profile })
          playRecordedScenario(device)
          const session = await enter(device, RESUMING)
          expect(session.write(patched(goldenStream('fresh-2-ports'), patch))).toBe(96)
          const failure = await device.setState(STOP).catch((error: unknown) => error)
          expect(VfioError.is(failure, 'EINVAL')).toBe(true)
          expect(failure).toMatchObject({ state: RESUMING, section: `port ${port}` })
          expect(await device.state()).toBe(RESUMING)
          await device.reset()
          expect(await save(device)).toEqual(goldenStream('linux-6.12-recorded'))
        }
      },
    )

    const accepted: [string, Record<number, number>][] = [
      ['head and tail 15', { [HEAD]: 15, [TAIL]: 15 }],
      ['count 16 with head = tail', { [HEAD]: 5, [TAIL]: 5, [COUNT]: 16 }],
      ['count 1 over the wrap', { [HEAD]: 0, [TAIL]: 15, [COUNT]: 1 }],
      ['count above max_fifo_size 1', { [HEAD]: 4, [COUNT]: 4, 33: 1 }],
      ['dlab, overrun and trigger 1', { 27: 1, 28: 1, 34: 1 }],
    ]

    it.each(accepted)('%s is a legal history', async (_, fields) => {
      const patch = Object.fromEntries(Object.entries(fields).map(([at, value]) => [24 + Number(at), value]))
      const stream = patched(goldenStream('fresh-1-port'), patch)
      const { device } = await openMtty({ profile })
      ;(await enter(device, RESUMING)).write(stream)
      await device.setState(STOP)
      expect(await save(device)).toEqual(stream)
    })
  })

  it('A.7 a reset keeps the UART and drops a half-written stream', async () => {
    const { device } = await openMtty({ ports: 2, profile })
    playRecordedScenario(device)
    const session = await enter(device, RESUMING)
    session.write(goldenStream('fresh-2-ports').subarray(0, 95))
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
    expect(await save(device)).toEqual(goldenStream('linux-6.12-recorded'))
  })

  it('F: the state at re-open is RUNNING, with the UART as it was', async () => {
    const { mtty, device } = await openMtty({ ports: 2, profile })
    playRecordedScenario(device)
    await device.setState(STOP_COPY)
    await device.close()

    const again = await VfioDevice.open(mtty)
    expect(await again.state()).toBe(RUNNING)
    expect(await save(again)).toEqual(goldenStream('linux-6.12-recorded'))
  })
})

describe('createMtty()', () => {
  it('has the identity of the Linux sample driver', () => {
    expect(MTTY_PCI).toEqual({
      vendor: 0x4348,
      device: 0x3253,
      classCode: 0x070002,
      revision: 0x10,
      configBytes: 255,
      barBytes: 8,
    })
    expect(createMtty({ ports: 2 }).identity).toEqual({
      type: 'mtty',
      version: 1,
      fingerprint: configurationFingerprint({ ports: 2 }),
      stream: 'opaque',
      configuration: { ports: 2 },
    })
    expect(createMtty().identity.fingerprint).not.toEqual(createMtty({ ports: 2 }).identity.fingerprint)
    expect(createMtty().flags).toBe(7)
  })

  it.each([0, 3, 1.5])('%d ports are EINVAL', async (ports) => {
    expect(await errnoOf(() => createMtty({ ports: ports as 1 }))).toBe('EINVAL')
  })

  it('every arc between running states keeps interrupts, and nothing else changes', async () => {
    const { device } = await openMtty()
    for (const state of [RUNNING_P2P, PRE_COPY_P2P, PRE_COPY, RUNNING]) await device.setState(state)
    expect(await save(device)).toEqual(goldenStream('fresh-1-port'))
  })

  it('a register stream restored in any pieces saves the same bytes', async () => {
    const access = fc.tuple(
      fc.integer({ min: 0, max: 1 }),
      fc.integer({ min: 0, max: 7 }),
      fc.integer({ min: 0, max: 255 }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(access, { maxLength: 60 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
        async (accesses, pieces) => {
          const source = await openMtty({ ports: 2 })
          for (const [port, register, value] of accesses) {
            if (value % 3 === 0) source.device.regions?.read(port, register, new Uint8Array(1))
            else source.device.regions?.write(port, register, Uint8Array.of(value))
          }
          const stream = await save(source.device)
          const destination = await openMtty({ ports: 2 })
          const session = await enter(destination.device, RESUMING)
          for (let at = 0, turn = 0; at < stream.length; turn++) {
            const piece = stream.subarray(at, at + (pieces[turn % pieces.length] ?? 1))
            at += session.write(piece)
          }
          await destination.device.setState(STOP)
          expect(await save(destination.device)).toEqual(stream)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('registers through regions', () => {
  it('a longer access is one byte access after the other, in ascending order', async () => {
    const { device } = await openMtty()
    device.regions?.write(0, 3, Uint8Array.of(0x03, 0x0b))
    const registers = new Uint8Array(2)
    device.regions?.read(0, 3, registers)
    expect([...registers]).toEqual([0x03, 0x0b])
    device.regions?.write(0, 3, Uint8Array.of(0x80))
    device.regions?.write(0, 0, Uint8Array.of(0x0c, 0x01))
    expect((await save(device)).subarray(24 + 30, 24 + 32)).toEqual(Uint8Array.of(0x0c, 0x01))
  })

  it.each([
    { index: 1, offset: 0, length: 1 },
    { index: 0, offset: 8, length: 1 },
    { index: 0, offset: 7, length: 2 },
    { index: 0, offset: -1, length: 1 },
    { index: 0, offset: 0.5, length: 1 },
  ])(
    'access of $length at $offset of region $index is EINVAL without effect',
    async ({ index, offset, length }) => {
      const { device } = await openMtty()
      const bytes = new Uint8Array(length).fill(0xff)
      expect(await errnoOf(() => device.regions?.write(index, offset, bytes))).toBe('EINVAL')
      expect(await errnoOf(() => device.regions?.read(index, offset, bytes))).toBe('EINVAL')
      expect(await save(device)).toEqual(goldenStream('fresh-1-port'))
    },
  )

  it('RESUMING is EBUSY, STOP and STOP_COPY work', async () => {
    const { device } = await openMtty()
    const byte = new Uint8Array(1)
    await device.setState(RESUMING)
    expect(await errnoOf(() => device.regions?.read(0, 7, byte))).toBe('EBUSY')
    expect(await errnoOf(() => device.regions?.write(0, 7, byte))).toBe('EBUSY')
    await device.reset()
    for (const state of [STOP, STOP_COPY]) {
      await device.setState(state)
      device.regions?.write(0, 7, Uint8Array.of(0x40 + state))
      device.regions?.read(0, 7, byte)
      expect(byte[0]).toBe(0x40 + state)
    }
  })
})
