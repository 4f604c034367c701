/**
 * The arcs a driver implements. Everything else about the state machine is derived from them.
 *
 * ```text
 *                  flags 1                            flags 7
 *
 *            RUNNING                       RUNNING <------> PRE_COPY
 *               ^                             ^                ^
 *               v                             v                v
 *  RESUMING <-> STOP <-> STOP_COPY       RUNNING_P2P <--> PRE_COPY_P2P --.
 *                                             ^                          v
 *                                             v                          |
 *                            RESUMING <---> STOP <---> STOP_COPY <-------'
 * ```
 *
 * Flags 3 is the right-hand picture without the PRE_COPY column; flags 5 is the left-hand one with
 * RUNNING <-> PRE_COPY -> STOP_COPY.
 *
 * @module
 */

import { DeviceState, MigrationFlag } from '../uapi/state.ts'
import { capabilitySet } from './capability-set.ts'

/** One step a driver executes. */
export interface Arc {
  /** Before. */
  readonly from: DeviceState
  /** After. */
  readonly to: DeviceState
}

const { P2P, PRE_COPY } = MigrationFlag
const S = DeviceState.STOP
const R = DeviceState.RUNNING
const RP = DeviceState.RUNNING_P2P
const PC = DeviceState.PRE_COPY
const PCP = DeviceState.PRE_COPY_P2P
const SC = DeviceState.STOP_COPY
const RES = DeviceState.RESUMING

/** Every arc of every set: flags it needs, and flags that take it away again. */
const ALL_ARCS: readonly (readonly [from: DeviceState, to: DeviceState, needs: number, unless: number])[] = [
  [RES, S, 0, 0],
  [S, RES, 0, 0],
  [S, SC, 0, 0],
  [SC, S, 0, 0],
  // With P2P, stopping and starting pass through RUNNING_P2P, so that several devices can pause together.
  [R, S, 0, P2P],
  [S, R, 0, P2P],
  [R, RP, P2P, 0],
  [RP, R, P2P, 0],
  [RP, S, P2P, 0],
  [S, RP, P2P, 0],
  [R, PC, PRE_COPY, 0],
  [PC, R, PRE_COPY, 0],
  [PC, SC, PRE_COPY, P2P],
  [PC, PCP, PRE_COPY | P2P, 0],
  [PCP, PC, PRE_COPY | P2P, 0],
  [PCP, RP, PRE_COPY | P2P, 0],
  [RP, PCP, PRE_COPY | P2P, 0],
  [PCP, SC, PRE_COPY | P2P, 0],
]

const cache = new Map<number, readonly Arc[]>()

/**
 * The arcs a driver with these capability flags must implement: 6, 8, 9 or 15 of them. The list is
 * shared and frozen.
 *
 * @throws {@link VfioError} EINVAL when the flags lack STOP_COPY
 */
export function arcs(flags: number): readonly Arc[] {
  const set = capabilitySet(flags)
  let list = cache.get(set)
  if (list === undefined) {
    list = Object.freeze(
      ALL_ARCS.filter(([, , needs, unless]) => (set & needs) === needs && (set & unless) === 0).map(
        ([from, to]) => Object.freeze({ from, to }),
      ),
    )
    cache.set(set, list)
  }
  return list
}
