import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/mtty/mtty.ts'
import { FaultyDevice } from '../../../src/testing/index.ts'
import type { Faults } from '../../../src/testing/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { enter, errnoOf, goldenStream, save } from '../../support/mtty-device.ts'

const { ERROR, STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY } = DeviceState

async function openFaulty(faults?: Faults): Promise<{ faulty: FaultyDevice; device: VfioDevice }> {
  const faulty = new FaultyDevice(createMtty(), faults)
  return { faulty, device: await VfioDevice.open(faulty) }
}

describe('FaultyDevice', () => {
  it('refuses an arc or an errno that does not exist: it would never fail', () => {
    for (const failAt of ['STOP>STOP_COPY', '1->3', 'STOP->STOP_COPY->STOP', { from: 9, to: 1 }])
      expect(() => new FaultyDevice(createMtty(), { failAt } as unknown as Faults)).toThrowError(/is no arc/)
    for (const errno of ['ENOPE', 1.5])
      expect(() => new FaultyDevice(createMtty(), { errno } as unknown as Faults)).toThrowError(/is no errno/)
  })

  it('takes an errno by number of either sign', async () => {
    for (const errno of [16, -16]) {
      const device = await VfioDevice.open(
        new FaultyDevice(createMtty(), { failAt: 'STOP->STOP_COPY', errno }),
      )
      await expect(device.setState(DeviceState.STOP_COPY)).rejects.toMatchObject({
        code: 'EBUSY',
        errno: -16,
      })
    }
  })

  it('without faults is the driver it wraps', async () => {
    const { faulty, device } = await openFaulty()
    const mtty = createMtty()
    expect([faulty.flags, faulty.profile, faulty.identity]).toEqual([7, 'strict', mtty.identity])
    expect(await device.stopCopyLength()).toBe(60)
    expect(await save(device)).toEqual(goldenStream('fresh-1-port'))
    device.regions?.write(0, 7, Uint8Array.of(0xa5))
    expect((await save(device))[31]).toBe(0xa5)
    expect(await device.dmaLoggingStart({ pageSize: 4096, ranges: [{ iova: 0n, length: 4096n }] })).toBe(4096)
  })

  it('lists the arcs it was asked for and counts resets', async () => {
    const { faulty, device } = await openFaulty()
    await device.setState(STOP_COPY)
    await device.reset()
    await device.reset()
    expect(faulty.transitions).toEqual(['RUNNING->RUNNING_P2P', 'RUNNING_P2P->STOP', 'STOP->STOP_COPY'])
    expect(faulty.resets).toBe(2)
  })

  it.each([{ failAt: 'STOP->STOP_COPY' as const }, { failAt: { from: STOP, to: STOP_COPY } }])(
    'failAt $failAt keeps the state before it, each time, until it is cleared',
    async ({ failAt }) => {
      const { faulty, device } = await openFaulty({ failAt })
      for (const _ of [1, 2]) {
        expect(await errnoOf(() => device.setState(STOP_COPY))).toBe('EIO')
        expect(await device.state()).toBe(STOP)
      }
      expect(faulty.transitions.filter((arc) => arc === 'STOP->STOP_COPY')).toHaveLength(2)
      faulty.faults.failAt = undefined
      expect(await save(device)).toEqual(goldenStream('fresh-1-port'))
    },
  )

  it('the errno is the one asked for', async () => {
    const { device } = await openFaulty({ failAt: 'STOP->RESUMING', errno: 'ENOTCONN' })
    expect(await errnoOf(() => device.setState(RESUMING))).toBe('ENOTCONN')
  })

  it('toError moves to ERROR, which ends the session and only a reset leaves', async () => {
    const { device } = await openFaulty({ failAt: 'STOP_COPY->STOP', toError: true })
    const session = await enter(device, STOP_COPY)
    expect(await errnoOf(() => device.setState(RUNNING))).toBe('EIO')
    expect(await device.state()).toBe(ERROR)
    expect(await errnoOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
  })

  it.each([0, 1, 24, 59])(
    'failRead %i delivers what comes before and then fails every read',
    async (failRead) => {
      const { device } = await openFaulty({ failRead })
      const session = await enter(device, STOP_COPY)
      const stream = new Uint8Array(100)
      if (failRead > 0) expect(session.read(stream)).toBe(failRead)
      expect(stream.subarray(0, failRead)).toEqual(goldenStream('fresh-1-port').subarray(0, failRead))
      expect(await errnoOf(() => session.read(stream))).toBe('EIO')
      expect(await errnoOf(() => session.lease(10))).toBe('EIO')
      expect(await device.state()).toBe(STOP_COPY)
    },
  )

  it('failRead leaves precopy info and the temporary end alone', async () => {
    const { device } = await openFaulty({ failRead: 40 })
    const session = await enter(device, PRE_COPY)
    expect(session.precopyInfo().initialBytes).toBe(24)
    expect(session.read(new Uint8Array(100))).toBe(24)
    expect(await errnoOf(() => session.read(new Uint8Array(100)))).toBe('ENOMSG')
    await device.setState(STOP_COPY)
    expect(session.read(new Uint8Array(100))).toBe(16)
    expect(await errnoOf(() => session.read(new Uint8Array(100)))).toBe('EIO')
  })

  it('failWrite takes what ends before it; a write across it and every later one fails, and so does the load', async () => {
    const { device } = await openFaulty({ failWrite: 30, errno: 'EPROTO' })
    const stream = goldenStream('fresh-1-port')
    const session = await enter(device, RESUMING)
    expect(session.write(stream.subarray(0, 30))).toBe(30)
    expect(await errnoOf(() => session.write(stream.subarray(30)))).toBe('EPROTO')
    expect(await errnoOf(() => session.write(stream.subarray(30, 31)))).toBe('EPROTO')
    expect(await errnoOf(() => device.setState(STOP))).toBe('EINVAL')
    expect(await device.state()).toBe(RESUMING)
  })

  it('failWrite hits windows, too', async () => {
    const { device } = await openFaulty({ failWrite: 30 })
    const session = await enter(device, RESUMING)
    session.window(60).set(goldenStream('fresh-1-port'))
    expect(await errnoOf(() => session.commit(60))).toBe('EIO')
  })
})
