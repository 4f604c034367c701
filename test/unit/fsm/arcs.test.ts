import { describe, expect, it } from 'vitest'
import { type Arc, arcs, hasState, opensSession, sessionOf, transitionPath } from '../../../src/fsm/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { ARC_LISTS, FLAG_SETS, SHORT_NAMES } from '../../support/migration-oracle.ts'
import { outcome } from '../../support/vfio-error.ts'

const STATES = Object.values(DeviceState)

function text({ from, to }: Arc): string {
  return `${SHORT_NAMES[from]}>${SHORT_NAMES[to]}`
}

/** Every simple path from `from` to `to`, without the search under test: plain depth first. */
function simplePaths(list: readonly Arc[], from: number, to: number, walked: number[] = []): number[][] {
  if (from === to) return [walked]
  return list
    .filter((arc) => arc.from === from && !walked.includes(arc.to))
    .flatMap((arc) => simplePaths(list, arc.to, to, [...walked, arc.to]))
}

describe.each(FLAG_SETS)('arcs of flags %i', (set) => {
  it('A.3 are the listed ones', () => {
    expect(arcs(set).map(text)).toEqual(ARC_LISTS[set].split(' '))
  })

  it('A.3 are exactly those that the paths of all pairs use', () => {
    const used = new Set<string>()
    for (const from of STATES) {
      for (const to of STATES) {
        if (outcome(() => transitionPath(from, to, set)) !== 'ok') continue
        let previous = from
        for (const state of transitionPath(from, to, set)) {
          used.add(text({ from: previous, to: state }))
          previous = state
        }
      }
    }
    expect([...used].sort()).toEqual(arcs(set).map(text).sort())
  })

  it('A.3 path rule: each path is the only shortest one with a saving state inside only between two of them', () => {
    const states = STATES.filter((state) => hasState(state, set))
    for (const from of states) {
      for (const to of states) {
        const blocked = from === DeviceState.STOP_COPY && to !== from && sessionOf(to) === 'save'
        if (blocked || from === to) continue
        const bothSaving = sessionOf(from) === 'save' && sessionOf(to) === 'save'
        const legal = simplePaths(arcs(set), from, to).filter(
          (path) => bothSaving || path.slice(0, -1).every((state) => sessionOf(state) !== 'save'),
        )
        const shortest = Math.min(...legal.map(({ length }) => length))
        expect(legal.filter(({ length }) => length === shortest)).toEqual([transitionPath(from, to, set)])
      }
    }
  })

  it('have the states of the set as ends, and no other', () => {
    const ends = new Set(arcs(set).flatMap(({ from, to }) => [from, to]))
    expect([...ends].sort((a, b) => a - b)).toEqual(STATES.filter((state) => hasState(state, set)))
  })

  it('ignore higher capability bits and cannot be changed', () => {
    expect(arcs(set | 0x78)).toBe(arcs(set))
    expect(() => (arcs(set) as Arc[]).pop()).toThrow(TypeError)
  })
})

describe('arcs', () => {
  it('A.3 number 6, 8, 9 and 15', () => {
    expect(FLAG_SETS.map((set) => arcs(set).length)).toEqual([6, 8, 9, 15])
  })

  it.each([0, 2, 4, 6])('flags %i are EINVAL', (flags) => {
    expect(outcome(() => arcs(flags))).toBe('EINVAL')
  })

  it('states need the flags of A.3', () => {
    const table = FLAG_SETS.map((set) => STATES.filter((state) => hasState(state, set)).join(''))
    expect(table).toEqual(['1234', '12345', '12346', '1234567'])
    for (const state of [0, 8, -1, 1.5, Number.NaN]) expect(hasState(state, 7)).toBe(false)
  })

  it('A.3 without the block STOP_COPY could reach PRE_COPY over STOP and RUNNING, so it must be refused', () => {
    const { STOP_COPY, PRE_COPY } = DeviceState
    expect(simplePaths(arcs(5), STOP_COPY, PRE_COPY)).toEqual([[1, 2, 6]])
    expect(outcome(() => transitionPath(STOP_COPY, PRE_COPY, 5))).toBe('EINVAL')
    expect(opensSession(STOP_COPY, PRE_COPY)).toBeUndefined()
  })
})
