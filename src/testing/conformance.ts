/**
 * The conformance suite: what a device author runs against their device, in any test framework.
 *
 * ```ts
 * for (const test of conformance(create)) {
 *   it(test.name, () => test.run())
 * }
 * ```
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import type { Awaitable } from '../errors.ts'
import { accessCases } from './cases/access.ts'
import { callCases } from './cases/calls.ts'
import { failureCases } from './cases/failures.ts'
import { ioctlCases } from './cases/ioctl.ts'
import { sessionCases } from './cases/sessions.ts'
import { streamCases } from './cases/streams.ts'
import { transitionCases } from './cases/transitions.ts'
import { bindCase } from './conformance-case.ts'
import type { ConformanceCase, ConformanceOptions } from './conformance-case.ts'

/**
 * The cases, each of which opens and closes its own devices.
 *
 * @param create - makes a device in RUNNING. All devices it makes have the same configuration and
 * are each other's migration partners; give them content that shows up in the stream. A case whose
 * needs it does not meet is not applicable: its `run` does nothing (`missingNeeds` tells which).
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
