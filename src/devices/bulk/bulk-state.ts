/**
 * The register state of bulk, version 2. Version 1 had a uniform workload and no peers: its streams load.
 *
 * @module
 */

import { blob, type BlobField, type ScalarField, u32, u64 } from '../../driver/index.ts'
import { RING_BYTES, RING_ENTRIES } from './descriptor-ring.ts'
import { BULK_PATTERNS, FRACTION_PARTS, MAX_BURST_MS } from './pattern.ts'

/** Version of the state, and what the VERSION register says. */
export const BULK_VERSION = 2

/** What bulk's registers hold; the offsets stand in `bulk-registers.ts`. */
export type BulkSchema = {
  readonly control: ScalarField<number>
  readonly interruptStatus: ScalarField<number>
  readonly interruptMask: ScalarField<number>
  readonly rate: ScalarField<number>
  readonly seed: ScalarField<bigint>
  readonly sequence: ScalarField<bigint>
  readonly ringHead: ScalarField<number>
  readonly ringTail: ScalarField<number>
  readonly ring: BlobField
  readonly pattern: ScalarField<number>
  readonly hotFraction: ScalarField<number>
  readonly hotShare: ScalarField<number>
  readonly burstMs: ScalarField<number>
  readonly burstPeriodMs: ScalarField<number>
  readonly burstPhase: ScalarField<number>
  readonly reservedPages: ScalarField<number>
  readonly p2pRate: ScalarField<number>
  readonly p2pSequence: ScalarField<bigint>
}

type LimitedRegister = 'pattern' | 'hotFraction' | 'hotShare' | 'burstMs' | 'burstPeriodMs'

/** Bounds of the registers that have some, in streams and when written. */
export const BULK_LIMITS: Readonly<Record<LimitedRegister, { min: number; max: number }>> = {
  pattern: { min: 0, max: BULK_PATTERNS.length - 1 },
  hotFraction: { min: 1, max: FRACTION_PARTS },
  hotShare: { min: 0, max: FRACTION_PARTS },
  burstMs: { min: 1, max: MAX_BURST_MS },
  burstPeriodMs: { min: 1, max: MAX_BURST_MS },
}

/** The state schema of bulk. */
export const BULK_STATE: BulkSchema = {
  control: u32({ max: 3 }),
  interruptStatus: u32({ max: 3 }),
  interruptMask: u32({ max: 3 }),
  rate: u32(),
  seed: u64(),
  sequence: u64(),
  ringHead: u32({ max: RING_ENTRIES - 1 }),
  ringTail: u32({ max: RING_ENTRIES - 1 }),
  ring: blob(RING_BYTES),
  pattern: u32({ since: 2, ...BULK_LIMITS.pattern }),
  hotFraction: u32({ since: 2, default: 6554, ...BULK_LIMITS.hotFraction }),
  hotShare: u32({ since: 2, default: 58_982, ...BULK_LIMITS.hotShare }),
  burstMs: u32({ since: 2, default: 100, ...BULK_LIMITS.burstMs }),
  burstPeriodMs: u32({ since: 2, default: 1000, ...BULK_LIMITS.burstPeriodMs }),
  burstPhase: u32({ since: 2, max: MAX_BURST_MS * 1000 }),
  reservedPages: u32({ since: 2 }),
  p2pRate: u32({ since: 2 }),
  p2pSequence: u64({ since: 2 }),
}
