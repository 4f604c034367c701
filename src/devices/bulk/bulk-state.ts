/**
 * The register state of bulk, version 1.
 *
 * @module
 */

import { blob, type BlobField, type ScalarField, u32, u64 } from '../../driver/index.ts'
import { RING_BYTES, RING_ENTRIES } from './descriptor-ring.ts'

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
}
