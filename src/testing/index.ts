/**
 * `stopcopy/testing`: a conformance suite and a faulty driver for device authors. No test framework.
 *
 * @module
 */

export { conformance, missingNeeds } from './conformance.ts'
export type { ConformanceCase, ConformanceNeed, ConformanceOptions } from './conformance-case.ts'
export { FaultyDevice } from './faulty-device.ts'
export type { ArcName, Faults, StateName } from './faulty-device.ts'
