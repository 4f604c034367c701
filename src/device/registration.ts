/**
 * What a driver must bring before it becomes a device (facts A.5), and that it becomes one at a time.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { capabilitySet } from '../fsm/capability-set.ts'
import type { Driver } from './driver.ts'

const opened = new WeakSet<Driver>()

/**
 * The capability flags of a driver that passes, 0 for one without migration.
 *
 * @throws {@link VfioError} EINVAL: flags without STOP_COPY; with flags, a missing transition or
 * stopCopyLength; no reset; some but not all of the three log operations
 */
export function checkDriver(driver: Driver): number {
  const flags = (driver.flags as number | undefined) ?? 0
  const needed: (keyof Driver)[] = flags === 0 ? ['reset'] : ['transition', 'stopCopyLength', 'reset']
  if (flags !== 0) capabilitySet(flags)
  for (const name of needed) {
    if (typeof driver[name] !== 'function') throw refusal(`it has no ${name}(), add it`)
  }
  const { dirtyLog } = driver
  if (dirtyLog !== undefined) {
    for (const name of ['start', 'stop', 'report'] as const) {
      if (typeof dirtyLog[name] !== 'function') throw refusal(`its dirtyLog has no ${name}(), add it`)
    }
  }
  return flags
}

/**
 * Takes the driver for one device.
 *
 * @throws {@link VfioError} EINVAL while it is open already
 */
export function claimDriver(driver: Driver): void {
  if (opened.has(driver)) throw refusal('it is open already, close that device first')
  opened.add(driver)
}

/** The driver can be opened again. */
export function releaseDriver(driver: Driver): void {
  opened.delete(driver)
}

function refusal(reason: string): VfioError {
  return new VfioError('EINVAL', `Cannot open the driver: ${reason}`, { syscall: 'open' })
}
