/**
 * The conformance suite: what a device author runs against their device, in any test framework.
 *
 * ```ts
 * for (const test of conformance(create)) {
 *   it(test.name, async (context) => {
 *     const missing = await missingNeeds(test, await create())
 *     if (missing.length > 0) context.skip(`the device has no ${missing.join(', ')}`)
 *     await test.run()
 *   })
 * }
 * ```
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import type { Awaitable } from '../errors.ts'
import { MigrationFlag } from '../uapi/state.ts'
import { accessCases } from './cases/access.ts'
import { callCases } from './cases/calls.ts'
import { failureCases } from './cases/failures.ts'
import { ioctlCases } from './cases/ioctl.ts'
import { sessionCases } from './cases/sessions.ts'
import { streamCases } from './cases/streams.ts'
import { transitionCases } from './cases/transitions.ts'
import { bindCase } from './conformance-case.ts'
import type { ConformanceCase, ConformanceNeed, ConformanceOptions } from './conformance-case.ts'

/**
 * The cases, each of which opens and closes its own devices.
 *
 * @param create - makes a device in RUNNING. All devices it makes have the same configuration and
 * are each other's migration partners; give them content that shows up in the stream.
 * @param options - what the suite cannot find out; `driver` adds failure injection
 * @example
 * ```ts
 * import { VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { conformance } from 'stopcopy/testing'
 * const driver = () => createMtty({ ports: 2 })
 * const options = { driver, scratch: { index: 0, offset: 7 } }
 * for (const test of conformance(() => VfioDevice.open(driver()), options)) await test.run()
 * ```
 */
export function conformance(
  create: () => Awaitable<MigrationDevice>,
  options: ConformanceOptions = {},
): ConformanceCase[] {
  const bodies = [
    ...callCases(),
    ...transitionCases(),
    ...sessionCases(),
    ...streamCases(),
    ...accessCases(),
    ...failureCases(),
    ...ioctlCases(),
  ]
  return bodies.map((body) => bindCase(body, create, options))
}

/**
 * What `test` needs and `device` has not: run the case when the list is empty, and skip it otherwise.
 * The device is asked and not changed (a dirty log is stopped). 'driver' is in the list as long as
 * `conformance` was given none.
 */
export async function missingNeeds(
  test: Pick<ConformanceCase, 'needs'>,
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
