/**
 * Live migration: a running device goes to another host, or to another device here.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { VfioError } from '../../errors.ts'
import { type ByteDuplex, byteDuplex, type DuplexLike, memoryPair, settle } from '../../transport/index.ts'
import { guestMemorySource } from '../guest-memory.ts'
import { newMigrationId } from '../handover/frame.ts'
import { MAX_CONNECTIONS } from '../handover/payloads.ts'
import { acceptRehearsal, Receiver } from '../receive/receiver.ts'
import { asFailure } from '../recovery.ts'
import { rehearse } from '../rehearse.ts'
import { type MigrateOptions, migrateSettings } from './migrate-options.ts'
import type { MigrateReport } from './migrate-report.ts'
import { OutgoingMigration } from './outgoing-migration.ts'
import { SourceDevices } from './source-devices.ts'
import { SourceLink } from './source-link.ts'

/** Where a migration goes: devices of this process, or one or more connections to a receiver. */
export type MigrateDestination =
  MigrationDevice | readonly MigrationDevice[] | DuplexLike | readonly DuplexLike[]

/**
 * Migrates one or several devices: they work on while their state is sent, stop for the last of it, and run
 * on at the destination. At no instant do both sides run.
 *
 * Pre-copy is used where the devices have it. Several devices must all have P2P states; they are stopped and
 * started together. Of several connections the first carries the hand-over and all carry data.
 *
 * It resolves when the destination runs, and also when the connection broke after COMMIT: then
 * `report.owner` is 'undecided', the devices stay stopped, and `resolveHandover(report.ticket, ...)` settles
 * it. In every other case it rejects with a {@link MigrationError}, whose `report.owner` is 'source': the
 * devices run here again.
 *
 * @throws {@link MigrationError} ECANCELED; ETIMEDOUT it does not converge, the destination went silent, or
 * the downtime was exceeded; EINVAL, EOPNOTSUPP, EBUSY the destination refused, before the source stopped;
 * EPIPE the connection broke before COMMIT; else what a device, the link or the destination failed with
 * @throws {@link VfioError} EINVAL, EOPNOTSUPP, EBUSY, EIO the devices cannot be migrated as they are;
 * nothing was changed
 * @example
 * ```ts
 * import { migrate, VfioDevice } from 'stopcopy'
 * import { createBulk } from 'stopcopy/devices'
 * const workload = { pagesPerSecond: 20_000 }
 * const source = await VfioDevice.open(createBulk({ memoryBytes: 2 ** 24, workload }))
 * const destination = await VfioDevice.open(createBulk({ memoryBytes: 2 ** 24 }))
 * const report = await migrate(source, destination, { downtimeLimitMs: 50 })
 * console.log(report.owner, report.downtimeMs)
 * ```
 */
export async function migrate(
  source: MigrationDevice | readonly MigrationDevice[],
  destination: MigrateDestination,
  options: MigrateOptions = {},
): Promise<MigrateReport> {
  const sources = listOf(source)
  const targets = listOf<MigrationDevice | DuplexLike>(destination)
  const duplexes = targets.filter(isDuplex).map(byteDuplex)
  const devices = targets.filter((target): target is MigrationDevice => !isDuplex(target))
  try {
    const settings = migrateSettings(options)
    if (targets.length === 0 || (duplexes.length > 0 && devices.length > 0))
      throw new VfioError('EINVAL', 'Cannot migrate: pass either devices or connections as the destination')
    if (duplexes.length > MAX_CONNECTIONS)
      throw new VfioError('EINVAL', `Cannot migrate: use at most ${MAX_CONNECTIONS} connections`)
    const memory = options.memory && guestMemorySource(options.memory, sources)
    const found = await SourceDevices.discover(sources, memory, settings.precopy !== false)
    const [connections, receiving] = devices.length > 0 ? inProcess(devices, options) : [duplexes, undefined]
    const link = new SourceLink(newMigrationId(), connections, settings)
    // Of devices that stand still nothing is short.
    const isRehearsed = settings.rehearse !== false && found.running && options.signal?.aborted !== true
    const rehearsal = isRehearsed ? rehearse(sources, acceptRehearsal) : undefined
    try {
      return await new OutgoingMigration(found, link, settings).run(rehearsal)
    } catch (error) {
      await link.abort(asFailure(error, 'migrate'))
      throw error
    } finally {
      await receiving
    }
  } catch (error) {
    const failure = asFailure(error, 'migrate', options.signal)
    for (const duplex of duplexes) {
      await settle(() => duplex.abort(failure))
      await settle(() => duplex.cancel(failure))
    }
    throw failure
  }
}

/** Both ends here, with the hand-over between them as between two hosts. */
function inProcess(
  devices: readonly MigrationDevice[],
  { receive, rehearse: isRehearsed }: MigrateOptions,
): [ByteDuplex[], Promise<void>] {
  // Nothing is buffered between the two: a chunk is handed over as it lies.
  const [here, there] = memoryPair({ highWaterMark: 0 })
  const receiver = new Receiver(devices, { rehearse: isRehearsed, ...receive })
  return [[here], settle(async () => void (await receiver.accept(there)))]
}

function listOf<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T]
}

function isDuplex(target: MigrationDevice | DuplexLike): target is DuplexLike {
  return !('identity' in target)
}
