/**
 * The wire's own conformance cases: raw messages to a server, and what it makes of them.
 *
 * @module
 */

import { dangerousCases } from './dangerous-cases.ts'
import {
  precopyDataCases,
  resumingDataCases,
  runningDataCases,
  stopCopyDataCases,
  stopDataCases,
} from './data-cases.ts'
import { dmaCases } from './dma-cases.ts'
import { featureCases } from './feature-cases.ts'
import { framingCases } from './framing-cases.ts'
import { infoCases } from './info-cases.ts'
import { irqCases } from './irq-cases.ts'
import { loggingCases } from './logging-cases.ts'
import { orderCases } from './order-cases.ts'
import { regionCases } from './region-cases.ts'
import { runningResetCases, stoppedResetCases } from './reset-cases.ts'
import { precopyStateCases, runningStateCases, stopCopyStateCases, stopStateCases } from './state-cases.ts'
import { laterVersionCases, versionCases } from './version-cases.ts'
import type { WireCase } from './wire-case.ts'

export type { ServerFacts } from './server-facts.ts'
export { WireBench, type WireBenchOptions } from './wire-bench.ts'
export type { WireCase, WireFinding, WireNeed, WireSafety } from './wire-case.ts'

/**
 * The cases in their order: first what only asks, then one tour through the states on the same connection, then
 * what needs connections of its own, and last what known servers die of. Run them one after the other on one
 * bench.
 */
export function wireConformance(): WireCase[] {
  const asked = [
    ...infoCases(),
    ...regionCases(),
    ...irqCases(),
    ...featureCases(),
    ...orderCases(),
    ...dmaCases(),
    ...loggingCases(),
  ]
  const tour = [
    ...runningResetCases(),
    ...runningStateCases(),
    ...runningDataCases(),
    ...precopyStateCases(),
    ...precopyDataCases(),
    ...stopCopyStateCases(),
    ...stopCopyDataCases(),
    ...stopStateCases(),
    ...stopDataCases(),
    ...resumingDataCases(),
    ...stoppedResetCases(),
    ...laterVersionCases(),
  ]
  const reading = asked.filter(({ safety }) => safety === 'reads')
  const changing = asked.filter(({ safety }) => safety !== 'reads')
  return [...reading, ...changing, ...tour, ...versionCases(), ...framingCases(), ...dangerousCases()]
}
