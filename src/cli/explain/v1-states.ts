/**
 * The deprecated v1 protocol (a migration region, until Linux 5.17), whose names still turn up in old code
 * and logs. Version 2 renamed them to `VFIO_DEVICE_STATE_V1_*` because it reuses the old spellings with
 * other values.
 *
 * @module
 */

import type { Answer } from './answer.ts'

const RUNNING = 1
const SAVING = 2
const RESUMING = 4

/** Bits of the v1 `device_state`, by the name behind `VFIO_DEVICE_STATE_V1_`. */
export const V1_STATES: Readonly<Record<string, number>> = { STOP: 0, RUNNING, SAVING, RESUMING }

/** All v1 bits, VFIO_DEVICE_STATE_MASK. */
export const V1_STATE_MASK: number = RUNNING | SAVING | RESUMING

/** What v2 has for each combination of v1 bits; the two missing ones were never valid. */
const SUCCESSORS: Readonly<Record<number, string>> = {
  0: 'STOP',
  [RUNNING]: 'RUNNING',
  [SAVING]: 'STOP_COPY',
  [SAVING | RUNNING]: 'PRE_COPY',
  [RESUMING]: 'RESUMING',
  [RESUMING | SAVING]: 'ERROR',
}

/** A v1 `device_state` value, 0 to 7. */
export function explainV1State(value: number): Answer {
  const bits = Object.entries(V1_STATES).flatMap(([name, bit]) => ((value & bit) === 0 ? [] : [name]))
  const successor = SUCCESSORS[value]
  return {
    kind: 'v1 state',
    title: `v1 device_state ${value} is ${bits.join(' + ') || 'STOP'} (deprecated)`,
    notes: [
      successor === undefined
        ? 'Never valid: RESUMING goes with no other bit.'
        : `Version 2 calls it ${successor}.`,
      'Version 1 was bits in a migration region; in version 2 states are an enumeration behind feature MIG_DEVICE_STATE.',
    ],
  }
}
