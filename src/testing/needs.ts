/**
 * Whether a device has what a conformance case needs.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import { MigrationFlag } from '../uapi/state.ts'

/**
 * What a case needs of the device under test:
 *
 * - 'pre-copy', 'p2p': the capability flag;
 * - 'regions': register access;
 * - 'ioctl': the byte-level entry, which remote devices do not have;
 * - 'dma-logging': a dirty log;
 * - 'checked-stream': `identity.stream` is 'stopcopy', so damage anywhere can be noticed;
 * - 'driver': a driver to inject failure into, see `ConformanceOptions`.
 */
export type ConformanceNeed =
  'pre-copy' | 'p2p' | 'regions' | 'ioctl' | 'dma-logging' | 'checked-stream' | 'driver'

/**
 * What `test` needs and `device` has not. The case is applicable when the list is empty; otherwise its
 * `run` does nothing, and a runner that reports skipped cases can name these.
 * The device is asked and not changed (a dirty log is stopped). 'driver' is in the list as long as
 * `conformance` was given none.
 */
export async function missingNeeds(
  test: { readonly needs: readonly ConformanceNeed[] },
  device: MigrationDevice,
): Promise<ConformanceNeed[]> {
  const missing: ConformanceNeed[] = []
  for (const need of test.needs) if (!(await has(device, need))) missing.push(need)
  return missing
}

async function has(device: MigrationDevice, need: ConformanceNeed): Promise<boolean> {
  switch (need) {
    case 'pre-copy':
      return ((await device.migrationFlags()) & MigrationFlag.PRE_COPY) !== 0
    case 'p2p':
      return ((await device.migrationFlags()) & MigrationFlag.P2P) !== 0
    case 'regions':
      return device.regions !== undefined
    case 'ioctl':
      return device.ioctl !== undefined
    case 'checked-stream':
      return device.identity.stream === 'stopcopy'
    case 'dma-logging':
      return hasDmaLogging(device)
    default:
      // 'driver': no device has one to show.
      return false
  }
}

async function hasDmaLogging(device: MigrationDevice): Promise<boolean> {
  try {
    await device.dmaLoggingStop()
    return true
  } catch (error) {
    if (VfioError.is(error, 'ENOTTY')) return false
    throw error
  }
}
