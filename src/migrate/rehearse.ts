/**
 * A rehearsal: the code of a hand-over runs before a device stops for it.
 *
 * A JavaScript engine compiles functions when they are first called. In a process that never migrated that is
 * most of a short downtime, since all that is left then is code: stop, drain, load, verify, start. So stand-ins
 * of the devices, which hold next to nothing, are handed over in memory first, once per process.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { type ByteDuplex, memoryPair, settle } from '../transport/index.ts'
import { newMigrationId } from './handover/frame.ts'
import { migrateSettings } from './live/migrate-options.ts'
import { OutgoingMigration } from './live/outgoing-migration.ts'
import { SourceDevices } from './live/source-devices.ts'
import { SourceLink } from './live/source-link.ts'

/** Hand-overs of a rehearsal: what runs once is still interpreted. */
const ROUNDS = 3
/** No further hand-over begins after this. */
const ENOUGH_MS = 150

/** The destination's side of a hand-over. */
export type Accept = (device: MigrationDevice, duplex: ByteDuplex) => Promise<unknown>

let rehearsal: Promise<void> | undefined

/**
 * Rehearses with stand-ins of the first device that has some, unless this process did before. Takes 50 to 150 ms
 * once, in many turns of the event loop; never rejects, since nothing depends on it.
 */
export function rehearse(devices: readonly MigrationDevice[], accept: Accept): Promise<void> {
  rehearsal ??= settle(async () => {
    for (const device of devices) if (await handOvers(device, accept)) return
    // Devices without stand-ins; the next ones may have some.
    rehearsal = undefined
  })
  return rehearsal
}

/** @returns whether the device has stand-ins */
async function handOvers(device: MigrationDevice, accept: Accept): Promise<boolean> {
  const untilMs = performance.now() + ENOUGH_MS
  let rounds = 0
  for (; rounds < ROUNDS && performance.now() < untilMs; rounds++) {
    const source = await device.standIn?.()
    const destination = source && (await device.standIn?.())
    try {
      if (source === undefined || destination === undefined) break
      const [here, there] = memoryPair({ highWaterMark: 0 })
      await Promise.all([send(source, here), accept(destination, there)])
    } finally {
      await source?.close()
      await destination?.close()
    }
  }
  return rounds > 0
}

async function send(device: MigrationDevice, duplex: ByteDuplex): Promise<void> {
  const settings = migrateSettings({})
  const found = await SourceDevices.discover([device], undefined, true)
  await new OutgoingMigration(found, new SourceLink(newMigrationId(), [duplex], settings), settings).run()
}
