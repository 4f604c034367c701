/**
 * Shortest paths over the arcs, for every pair of states of a capability set.
 *
 * The rule (facts A.3): the shortest path whose interior keeps the session. Between two states of the
 * saving group every interior state is in the group as well, so PRE_COPY reaches STOP_COPY through
 * PRE_COPY_P2P; for all other pairs no interior state is, so no session is opened only to be dropped.
 * STOP_COPY to PRE_COPY has no such path, which is how it comes to be refused.
 *
 * @module
 */

import { DEVICE_STATE_COUNT, type DeviceState } from '../uapi/state.ts'
import { arcs } from './arcs.ts'
import { capabilitySet } from './capability-set.ts'
import { sessionOf } from './session-arcs.ts'

/** Steps after the first state, indexed by `from * DEVICE_STATE_COUNT + to`; undefined: no path. */
type PathTable = readonly (readonly DeviceState[] | undefined)[]

const cache = new Map<number, PathTable>()

/**
 * The steps after `from` on the way to `to`, `[]` when they are equal, undefined when there is no path.
 * Both must be states of the set; flags as {@link capabilitySet}.
 */
export function shortestPath(
  from: DeviceState,
  to: DeviceState,
  flags: number,
): readonly DeviceState[] | undefined {
  const set = capabilitySet(flags)
  let table = cache.get(set)
  if (table === undefined) {
    table = searchAll(set)
    cache.set(set, table)
  }
  return table[from * DEVICE_STATE_COUNT + to]
}

function searchAll(set: number): PathTable {
  const states = [...new Set(arcs(set).map(({ from }) => from))]
  const table: (readonly DeviceState[] | undefined)[] = Array.from({ length: DEVICE_STATE_COUNT ** 2 })
  for (const from of states) {
    for (const to of states) table[from * DEVICE_STATE_COUNT + to] = search(from, to, set)
  }
  return table
}

function search(from: DeviceState, to: DeviceState, set: number): readonly DeviceState[] | undefined {
  const insideSaving = sessionOf(from) === 'save' && sessionOf(to) === 'save'
  const visited = new Set([from])
  let frontier: { state: DeviceState; path: readonly DeviceState[] }[] = [{ state: from, path: [] }]
  while (frontier.length > 0) {
    const next: typeof frontier = []
    for (const { state, path } of frontier) {
      if (state === to) return Object.freeze(path)
      for (const arc of arcs(set)) {
        if (arc.from !== state || visited.has(arc.to)) continue
        if (arc.to !== to && (sessionOf(arc.to) === 'save') !== insideSaving) continue
        visited.add(arc.to)
        next.push({ state: arc.to, path: [...path, arc.to] })
      }
    }
    frontier = next
  }
  return undefined
}
