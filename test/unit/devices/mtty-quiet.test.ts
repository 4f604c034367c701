import { describe, expect, it } from 'vitest'
import type { VfioDevice } from '../../../src/device/vfio-device.ts'
import type { Mtty } from '../../../src/devices/mtty/mtty.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { enter, openMtty, save } from '../../support/mtty-device.ts'

const { STOP, STOP_COPY, RESUMING } = DeviceState

/** Registers that show their value without changing it: a read of RX takes a byte, one of LSR looks at it. */
const READABLE = [1, 3, 4, 5, 6, 7]

/** Registers of both ports, past the gate of the device, and the interrupt line. */
function everything(mtty: Mtty): unknown {
  const registers = [0, 1].map((port) =>
    READABLE.map((offset) => {
      const byte = new Uint8Array(1)
      mtty.regions.read(port, offset, byte)
      return byte[0]
    }),
  )
  return { registers, asserted: mtty.interruptAsserted, interrupts: mtty.interrupts }
}

async function watched(mtty: Mtty, during: () => unknown = () => undefined): Promise<void> {
  const before = everything(mtty)
  await during()
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(everything(mtty)).toEqual(before)
}

/** Both ports with data that waits, and an interrupt that is due as soon as the device runs. */
async function withPendingInterrupt(): Promise<{ mtty: Mtty; device: VfioDevice }> {
  const { mtty, device } = await openMtty({ ports: 2 })
  await device.setState(STOP)
  for (const port of [0, 1]) {
    for (const [offset, value] of [
      [1, 1],
      [7, 0xa5],
      [0, 0x41],
    ]) {
      device.regions?.write(port, offset!, Uint8Array.of(value!))
    }
  }
  return { mtty, device }
}

describe('an mtty with an interrupt that is due is quiet: registers, FIFO and line stand still', () => {
  it('A.4 in STOP', async () => {
    const { mtty, device } = await withPendingInterrupt()
    const before = await save(device)
    await watched(mtty)
    expect(await save(device)).toEqual(before)
    expect(mtty.interrupts).toBe(0)
  })

  it('A.4 in STOP_COPY, while its stream is read', async () => {
    const { mtty, device } = await withPendingInterrupt()
    const before = await save(device)
    const session = await enter(device, STOP_COPY)
    await watched(mtty, () => session.read(new Uint8Array(50)))
    await device.setState(STOP)
    expect(await save(device)).toEqual(before)
    expect(mtty.interrupts).toBe(0)
  })

  it('A.4 in RESUMING, while a stream with another content arrives, and in STOP behind it', async () => {
    const { mtty, device } = await withPendingInterrupt()
    const donor = await openMtty({ ports: 2 })
    donor.device.regions?.write(1, 1, Uint8Array.of(1))
    donor.device.regions?.write(1, 0, Uint8Array.of(0x42))
    const stream = await save(donor.device)
    const session = await enter(device, RESUMING)
    await watched(mtty, () => session.write(stream))
    await device.setState(STOP)
    await watched(mtty)
    expect(await save(device)).toEqual(stream)
    expect(mtty.interrupts).toBe(0)
  })
})
