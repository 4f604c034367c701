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
import { within } from './handover/deadline.ts'
import { newMigrationId } from './handover/frame.ts'
import { migrateSettings } from './live/migrate-options.ts'
import { OutgoingMigration } from './live/outgoing-migration.ts'
import { SourceDevices } from './live/source-devices.ts'
import { SourceLink } from './live/source-link.ts'

/** Hand-overs of a rehearsal: what runs once is still interpreted. */
const ROUNDS = 3
/** No further hand-over begins after this. */
const ENOUGH_MS = 150
/** Who waits for a stand-in that hangs goes on after this. */
const PATIENCE_MS = 1000

/** The destination's side of a hand-over. */
export type Accept = (device: MigrationDevice, duplex: ByteDuplex) => Promise<unknown>

let rehearsal: Promise<void> | undefined

/**
 * Rehearses with stand-ins of the first device that has some, unless this process did before. Takes 50 to 150 ms
 * once, in many turns of the event loop, and a second at the most; never rejects, since nothing depends on it.
 */
export function rehearse(devices: readonly MigrationDevice[], accept: Accept): Promise<void> {
  rehearsal ??= settle(async () => {
    const isDone = await within(withAny(devices, accept), PATIENCE_MS, hanging)
    // The next devices may have stand-ins.
    if (!isDone) rehearsal = undefined
  })
  return rehearsal
}

function hanging(): Error {
  return new Error('a stand-in hangs')
}

async function withAny(devices: readonly MigrationDevice[], accept: Accept): Promise<boolean> {
  for (const device of devices) {
    let rounds = 0
    await settle(async () => {
      const untilMs = performance.now() + ENOUGH_MS
      while (rounds < ROUNDS && performance.now() < untilMs && (await handOver(device, accept))) {
        rounds++
        // The device itself may have work to do.
        await new Promise((resolve) => setTimeout(resolve))
      }
    })
    if (rounds > 0) return true
  }
  return false
}

/** @returns false when the device has no stand-ins */
async function handOver(device: MigrationDevice, accept: Accept): Promise<boolean> {
  const opened: MigrationDevice[] = []
  try {
    for (let end = 0; end < 2; end++) {
      const standIn = await device.standIn?.()
      if (standIn === undefined) return false
      opened.push(standIn)
    }
    const [source, destination] = opened as [MigrationDevice, MigrationDevice]
    const [here, there] = memoryPair({ highWaterMark: 0 })
    await Promise.all([send(source, here), accept(destination, there)])
    return true
  } finally {
    for (const standIn of opened) await settle(() => standIn.close())
  }
}

async function send(device: MigrationDevice, duplex: ByteDuplex): Promise<void> {
  const settings = migrateSettings({})
  const found = await SourceDevices.discover([device], undefined, true)
  await new OutgoingMigration(found, new SourceLink(newMigrationId(), [duplex], settings), settings).run()
}
