/**
 * The transitions the protocol allows, as data: the oracle of the conformance suite.
 *
 * Stated apart from the fsm room on purpose, which derives its answers from the arcs: a mistake in
 * one shows up against the other.
 *
 * @module
 */

import { DeviceState, deviceStateName } from '../uapi/state.ts'
import type { ConformanceNeed } from './needs.ts'

/** By capability flags: eight groups (current state), eight digits (target): the next state, 0 is EINVAL. */
const NEXT_STATES: Readonly<Record<number, string>> = {
  1: '00000000 01234000 01211000 01131000 01114000 00000000 00000000 00000000',
  3: '00000000 01534500 05255500 01131100 01114100 01211500 00000000 00000000',
  5: '00000000 01234020 01211060 01131000 01114010 00000000 02232060 00000000',
  7: '00000000 01534555 05255565 01131100 01114111 01211527 02272267 05535567',
}

/** An arc that returns a data fd; its session lives until an arc that ends it. */
const OPENING: readonly string[] = [
  'STOP->STOP_COPY',
  'STOP->RESUMING',
  'RUNNING->PRE_COPY',
  'RUNNING_P2P->PRE_COPY_P2P',
]
const ENDING: readonly string[] = [
  'STOP_COPY->STOP',
  'RESUMING->STOP',
  'PRE_COPY->RUNNING',
  'PRE_COPY_P2P->RUNNING_P2P',
]

/** One step of a walk. */
export interface ExpectedArc {
  readonly from: DeviceState
  readonly to: DeviceState
  readonly opensSession: boolean
  readonly endsSession: boolean
}

/** All states that can be entered by a call, and those that a device may lack. */
export const ENTERABLE_STATES: readonly { state: DeviceState; needs: readonly ConformanceNeed[] }[] = [
  { state: DeviceState.STOP, needs: [] },
  { state: DeviceState.RUNNING, needs: [] },
  { state: DeviceState.STOP_COPY, needs: [] },
  { state: DeviceState.RESUMING, needs: [] },
  { state: DeviceState.RUNNING_P2P, needs: ['p2p'] },
  { state: DeviceState.PRE_COPY, needs: ['pre-copy'] },
  { state: DeviceState.PRE_COPY_P2P, needs: ['p2p', 'pre-copy'] },
]

/** The states of a device with `flags`, ERROR left out. */
export function statesOf(flags: number): DeviceState[] {
  return ENTERABLE_STATES.map(({ state }) => state).filter(
    (state) => nextState(flags, state, DeviceState.STOP) !== 0,
  )
}

/** The arcs from `current` to `target`, `[]` when they are equal, undefined where it is EINVAL. */
export function expectedWalk(
  flags: number,
  current: DeviceState,
  target: DeviceState,
): ExpectedArc[] | undefined {
  const walk: ExpectedArc[] = []
  let from = current
  while (from !== target) {
    const to = nextState(flags, from, target)
    if (to === 0) return undefined
    const name = `${deviceStateName(from)}->${deviceStateName(to)}`
    walk.push({ from, to, opensSession: OPENING.includes(name), endsSession: ENDING.includes(name) })
    from = to
  }
  return nextState(flags, current, target) === 0 ? undefined : walk
}

function nextState(flags: number, current: DeviceState, target: DeviceState): DeviceState {
  const digit = NEXT_STATES[flags & 7]?.split(' ')[current]?.[target]
  return Number(digit ?? 0) as DeviceState
}
