/**
 * `stopcopy/testing`: a conformance suite and a faulty driver for device authors. No test framework.
 *
 * @module
 */

export { conformance } from './conformance.ts'
export type { ConformanceCase, ConformanceOptions } from './conformance-case.ts'
export { FaultyDevice } from './faulty-device.ts'
export type { ArcName, Faults, StateName } from './faulty-device.ts'
export { type DirectionFaults, type DuplexFaults, FaultyDuplex } from './faulty-duplex.ts'
export { type ConformanceNeed, missingNeeds } from './needs.ts'
