import { describe, expect, it } from 'vitest'
import { type Arc, arcs, endsSession, opensSession, sessionOf } from '../../../src/fsm/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { FLAG_SETS, SHORT_NAMES } from '../../support/migration-oracle.ts'

const ALL = [...new Map(FLAG_SETS.flatMap((set) => arcs(set)).map((arc) => [text(arc), arc])).values()]

function text({ from, to }: Arc): string {
  return `${SHORT_NAMES[from]}>${SHORT_NAMES[to]}`
}

describe('sessions on arcs', () => {
  it('A.3 only STOP to STOP_COPY, STOP to RESUMING, RUNNING to PRE_COPY and RUNNING_P2P to PRE_COPY_P2P open one', () => {
    const opening = ALL.filter(({ from, to }) => opensSession(from, to) !== undefined)
    expect(opening.map((arc) => `${text(arc)} ${opensSession(arc.from, arc.to)}`).sort()).toEqual([
      'R>PC save',
      'RP>PCP save',
      'S>RES resume',
      'S>SC save',
    ])
  })

  it('A.3 only STOP_COPY to STOP, RESUMING to STOP, PRE_COPY to RUNNING and PRE_COPY_P2P to RUNNING_P2P end one', () => {
    const ending = ALL.filter(({ from, to }) => endsSession(from, to))
    expect(ending.map(text).sort()).toEqual(['PC>R', 'PCP>RP', 'RES>S', 'SC>S'])
  })

  it('A.3 arcs inside the saving group keep the session', () => {
    const inside = ALL.filter(({ from, to }) => sessionOf(from) === 'save' && sessionOf(to) === 'save')
    expect(inside.map(text).sort()).toEqual(['PC>PCP', 'PC>SC', 'PCP>PC', 'PCP>SC'])
    for (const { from, to } of inside) {
      expect([opensSession(from, to), endsSession(from, to)]).toEqual([undefined, false])
    }
  })

  it('falling into ERROR ends the session of every state that has one', () => {
    const ended = Object.values(DeviceState).filter((state) => endsSession(state, DeviceState.ERROR))
    expect(ended).toEqual([3, 4, 6, 7])
  })

  it('numbers that are no state have no session', () => {
    expect([8, -1, Number.NaN].map(sessionOf)).toEqual([undefined, undefined, undefined])
  })
})
