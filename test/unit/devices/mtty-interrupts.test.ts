import { describe, expect, it } from 'vitest'
import { DeviceState } from '../../../src/uapi/state.ts'
import { enter, openMtty, save } from '../../support/mtty-device.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY } = DeviceState
const IER_RECEIVED = 1

describe('the interrupt line of an mtty', () => {
  it('rises when enabled data arrives and falls when it is read', async () => {
    let raised = 0
    const { mtty, device } = await openMtty({ onInterrupt: () => raised++ })
    device.regions?.write(0, 0, Uint8Array.of(0x41))
    expect([mtty.interruptAsserted, raised]).toEqual([false, 0])
    device.regions?.write(0, 1, Uint8Array.of(IER_RECEIVED))
    expect([mtty.interruptAsserted, mtty.interrupts, raised]).toEqual([true, 1, 1])
    device.regions?.write(0, 0, Uint8Array.of(0x42))
    expect(mtty.interrupts).toBe(1)
    device.regions?.read(0, 0, new Uint8Array(1))
    expect(mtty.interruptAsserted).toBe(true)
    device.regions?.read(0, 0, new Uint8Array(1))
    expect([mtty.interruptAsserted, mtty.interrupts]).toEqual([false, 1])
  })

  it('is one line for both ports', async () => {
    const { mtty, device } = await openMtty({ ports: 2 })
    for (const port of [0, 1]) {
      device.regions?.write(port, 1, Uint8Array.of(IER_RECEIVED))
      device.regions?.write(port, 0, Uint8Array.of(0x41))
    }
    expect(mtty.interrupts).toBe(1)
    device.regions?.read(0, 0, new Uint8Array(1))
    expect(mtty.interruptAsserted).toBe(true)
  })

  it.each([
    { name: 'STOP', state: STOP },
    { name: 'STOP_COPY', state: STOP_COPY },
  ])(
    'A.4 $name raises none; what became pending there is raised on the way to running',
    async ({ state }) => {
      const { mtty, device } = await openMtty()
      device.regions?.write(0, 1, Uint8Array.of(IER_RECEIVED))
      await device.setState(state)
      device.regions?.write(0, 0, Uint8Array.of(0x41))
      expect([mtty.interruptAsserted, mtty.interrupts]).toEqual([false, 0])
      await device.setState(STOP)
      expect(mtty.interrupts).toBe(0)
      await device.setState(RUNNING_P2P)
      expect([mtty.interruptAsserted, mtty.interrupts]).toEqual([true, 1])
      await device.setState(RUNNING)
      expect(mtty.interrupts).toBe(1)
    },
  )

  it('is raised again on resume while the condition is still pending', async () => {
    const { mtty, device } = await openMtty()
    device.regions?.write(0, 1, Uint8Array.of(IER_RECEIVED))
    device.regions?.write(0, 0, Uint8Array.of(0x41))
    await device.setState(STOP)
    expect([mtty.interruptAsserted, mtty.interrupts]).toEqual([false, 1])
    await device.setState(RUNNING)
    expect([mtty.interruptAsserted, mtty.interrupts]).toEqual([true, 2])
  })

  it('works in PRE_COPY as in RUNNING', async () => {
    const { mtty, device } = await openMtty()
    await device.setState(PRE_COPY)
    device.regions?.write(0, 1, Uint8Array.of(IER_RECEIVED))
    device.regions?.write(0, 0, Uint8Array.of(0x41))
    expect(mtty.interrupts).toBe(1)
  })

  it('comes with a restored stream, once the destination runs', async () => {
    const source = await openMtty()
    source.device.regions?.write(0, 1, Uint8Array.of(IER_RECEIVED))
    source.device.regions?.write(0, 0, Uint8Array.of(0x41))
    const stream = await save(source.device)
    const { mtty, device } = await openMtty()
    ;(await enter(device, RESUMING)).write(stream)
    await device.setState(STOP)
    expect(mtty.interrupts).toBe(0)
    await device.setState(RUNNING)
    expect([mtty.interruptAsserted, mtty.interrupts]).toEqual([true, 1])
  })
})
