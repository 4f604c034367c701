/** Two devices and the code that migrates them, as a process has them that never migrated. */

import type { EngineVariant } from '../../../src/index.ts'
import { pattern } from '../transport/duplex-suite.ts'

/** Memory of each device. */
export const FIRST_MIB: number = 2 ** 20

/** Modules that nothing else has used. */
export async function openPair(variant: EngineVariant = 'simd') {
  const { createEngine, DeviceState, memoryPair, migrate, receive, VfioDevice, defineDevice, u32 } =
    await import('../../../src/index.ts')
  const engine = await createEngine({ memoryBytes: 8 * FIRST_MIB, variant })
  type Device = Awaited<ReturnType<typeof VfioDevice.open>>
  const standIns: Device[] = []
  const drivers = new Map<Device, ReturnType<typeof make>>()
  const make = () =>
    defineDevice({
      type: 'first',
      engine,
      version: 1,
      state: { ticks: u32() },
      memory: { ram: { byteLength: FIRST_MIB } },
    })
  const open = async (): Promise<Device> => {
    const driver = make()
    const device = await VfioDevice.open(driver)
    drivers.set(device, driver)
    const standIn = device.standIn.bind(device)
    device.standIn = async () => {
      const made = await standIn()
      if (made !== undefined) standIns.push(made)
      return made
    }
    return device
  }
  const [source, destination] = [await open(), await open()]
  const written = drivers.get(source)
  if (written === undefined) throw new Error('the source has no driver')
  written.state.ticks = 77
  written.memory.ram.write(4096, pattern(300_000))
  return {
    source,
    destination,
    migrate,
    receive,
    memoryPair,
    standIns,
    RUNNING: DeviceState.RUNNING,
    STOP: DeviceState.STOP,
    /** What a device holds. */
    look(device: Device) {
      const { state, memory } = drivers.get(device) as ReturnType<typeof make>
      return { ticks: state.ticks, ram: Buffer.from(memory.ram.bytes).toString('base64').slice(0, 600_000) }
    },
    async close() {
      await source.close()
      await destination.close()
    },
  }
}

export type Pair = Awaited<ReturnType<typeof openPair>>
