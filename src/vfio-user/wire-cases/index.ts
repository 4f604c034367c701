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
import type { ServerFacts } from './server-facts.ts'
import { WireBench, type WireBenchOptions } from './wire-bench.ts'
import type { BenchCase, WireFinding, WireRule } from './wire-case.ts'

export type { ServerFacts } from './server-facts.ts'
export type { WireBenchOptions } from './wire-bench.ts'
export type { WireFinding, WireNeed, WireRule, WireSafety } from './wire-case.ts'

/** A case of the wire, to be tried on one server. */
export interface WireCase extends WireRule {
  /** Tries it. What goes wrong is a finding; rejects when nothing can be said, as no server answers at all. */
  run(): Promise<WireFinding>
}

/**
 * The wire's own conformance cases, on one server: raw messages, right and wrong ones, over few connections, one at
 * a time.
 *
 * @example
 * ```ts
 * import { connect } from 'stopcopy/node'
 * import { WireConformance } from 'stopcopy/vfio-user'
 * async function check(path: string) {
 *   const wire = new WireConformance({ connect: () => connect(`unix:${path}`) })
 *   for (const test of wire.cases) {
 *     if (test.safety !== 'dangerous') console.log(test.name, (await test.run()).status)
 *   }
 *   await wire.close()
 * }
 * ```
 */
export class WireConformance {
  /**
   * The cases in their order: first what only asks, then one tour through the states on the same connection, then
   * what needs connections of its own, and last what known servers die of. To be run one after the other.
   */
  readonly cases: readonly WireCase[]
  readonly #bench: WireBench

  /** Connects when the first case, or {@link facts}, needs it. */
  constructor(options: WireBenchOptions) {
    const bench = new WireBench(options)
    this.#bench = bench
    this.cases = allCases().map(({ run, ...rule }) => ({ ...rule, run: () => run(bench) }))
  }

  /** Whether a case found the server gone, and so does not apply: what was found is not all there is. */
  get wasGone(): boolean {
    return this.#bench.wasGone
  }

  /** What the server says of itself. @throws {@link VfioError} when it cannot be asked */
  facts(): Promise<ServerFacts> {
    return this.#bench.facts()
  }

  /** Gives the connection up; another case makes one again. */
  close(): Promise<void> {
    return this.#bench.close()
  }
}

function allCases(): BenchCase[] {
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
