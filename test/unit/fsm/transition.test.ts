import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { endsSession, nextState, opensSession, transitionPath } from '../../../src/fsm/index.ts'
import { DeviceState, deviceStateName } from '../../../src/uapi/state.ts'
import {
  COMPLETE_PATHS,
  FLAG_SETS,
  type FlagSet,
  KERNEL_ANSWERS,
  PACKED_NEXT_STATES,
  SHORT_NAMES,
} from '../../support/migration-oracle.ts'
import { outcome } from '../../support/vfio-error.ts'

const STATES = Object.values(DeviceState)
const NO_STATES = [8, 9, -1, 0xffff_ffff, 1.5, Number.NaN]

interface PathRow {
  from: number
  to: number
  /** Steps after `from`, or undefined for EINVAL. */
  path: number[] | undefined
  opens: boolean
  ends: boolean
}

/** The sheet's complete paths of one set. */
function pathRows(set: FlagSet): PathRow[] {
  return COMPLETE_PATHS[set].split('\n').flatMap((line) => {
    const [from = '', cells = ''] = line.split('|').map((part) => part.trim())
    return cells.split('; ').map((cell) => {
      const [to = '', steps = '', marks = ''] = cell.split(/:? /)
      return {
        from: SHORT_NAMES.indexOf(from),
        to: SHORT_NAMES.indexOf(to),
        path: steps === 'EINVAL' ? undefined : steps.split('>').map((name) => SHORT_NAMES.indexOf(name)),
        opens: marks.includes('+'),
        ends: marks.includes('-'),
      }
    })
  })
}

function next(current: number, target: number, flags: number): number | string {
  const result = outcome(() => nextState(current, target, flags))
  return result === 'ok' ? nextState(current, target, flags) : result
}

describe.each(FLAG_SETS)('transitions of flags %i', (set) => {
  const packed = PACKED_NEXT_STATES[set].split(' ')

  it.each(
    STATES.flatMap((from) => STATES.map((to) => [deviceStateName(from), deviceStateName(to), from, to])),
  )('A.3 %s to %s is the step of the packed table', (_from, _to, from, to) => {
    const digit = Number(packed[Number(from)]![Number(to)])
    expect(next(Number(from), Number(to), set)).toBe(digit === 0 ? 'EINVAL' : digit)
  })

  it('A.3 numbers that are no state are EINVAL, as current and as target', () => {
    for (const bad of NO_STATES) {
      for (const state of [...STATES, ...NO_STATES]) {
        expect([next(bad, state, set), next(state, bad, set)]).toEqual(['EINVAL', 'EINVAL'])
        expect(outcome(() => transitionPath(bad, state, set))).toBe('EINVAL')
        expect(outcome(() => transitionPath(state, bad, set))).toBe('EINVAL')
      }
    }
  })

  it('A.3 complete paths are the listed ones, and no other pair has one', () => {
    const rows = pathRows(set)
    for (const { from, to, path } of rows) {
      if (path === undefined) expect(outcome(() => transitionPath(from, to, set))).toBe('EINVAL')
      else expect(transitionPath(from, to, set)).toEqual(path)
    }
    const listed = new Set(rows.map(({ from, to }) => `${from} ${to}`))
    for (const from of STATES) {
      for (const to of STATES) {
        if (from === to || listed.has(`${from} ${to}`)) continue
        expect(outcome(() => transitionPath(from, to, set))).toBe('EINVAL')
      }
    }
  })

  it('A.3 + and - of the complete paths are what the arcs of each path do to sessions', () => {
    for (const { from, to, path, opens, ends } of pathRows(set)) {
      if (path === undefined) continue
      const walk = path.map((state, index) => [path[index - 1] ?? from, state] as const)
      const opening = walk.map(([a, b]) => opensSession(a, b) !== undefined)
      expect(opening).toEqual(walk.map((_, index) => opens && index === walk.length - 1))
      expect(walk.some(([a, b]) => endsSession(a, b))).toBe(ends)
      expect([opensSession(from, to) !== undefined, endsSession(from, to)]).toEqual([opens, ends])
    }
  })

  it('a state is its own next step with an empty path, ERROR excepted', () => {
    for (const { from } of pathRows(set)) {
      expect(nextState(from, from, set)).toBe(from)
      expect(transitionPath(from, from, set)).toEqual([])
    }
    expect(next(0, 0, set)).toBe('EINVAL')
    expect(outcome(() => transitionPath(0, 0, set))).toBe('EINVAL')
  })

  it('walking by nextState is following transitionPath', () => {
    for (const { from, to, path } of pathRows(set)) {
      if (path === undefined) continue
      const walked: number[] = []
      for (let state = from; state !== to; walked.push(state)) state = nextState(state, to, set)
      expect(walked).toEqual(path)
    }
  })

  it('higher capability bits are ignored', () => {
    for (const flags of [set | 8, set + 0x8000_0000, set + 2 ** 40]) {
      for (const { from, to } of pathRows(set)) expect(next(from, to, flags)).toBe(next(from, to, set))
    }
  })
})

describe('transitions', () => {
  it('A.3 longest path is 2, 3, 3, 4 arcs, and 6, 8, 10, 18 pairs return an fd', () => {
    const figures = FLAG_SETS.map((set) => {
      const rows = pathRows(set).filter(({ path }) => path !== undefined)
      const paths = rows.map(({ from, to }) => transitionPath(from, to, set))
      return {
        pairs: paths.length,
        longest: Math.max(...paths.map(({ length }) => length)),
        fds: rows.filter(({ from, to }) => opensSession(from, to) !== undefined).length,
      }
    })
    expect(figures).toEqual([
      { pairs: 12, longest: 2, fds: 6 },
      { pairs: 20, longest: 3, fds: 8 },
      { pairs: 19, longest: 3, fds: 10 },
      { pairs: 40, longest: 4, fds: 18 },
    ])
  })

  it.each(['3', 3n, null, undefined, [3]])('%o is no state, as current and as target', (value) => {
    expect(outcome(() => transitionPath(value as never, DeviceState.STOP, 7))).toBe('EINVAL')
    expect(outcome(() => nextState(DeviceState.STOP, value as never, 7))).toBe('EINVAL')
  })

  it.each([0, 2, 4, 6, 8, -1, 1.5, Number.NaN, Infinity])('flags %d are EINVAL for every pair', (flags) => {
    for (const from of STATES) for (const to of STATES) expect(next(from, to, flags)).toBe('EINVAL')
    expect(outcome(() => transitionPath(1, 1, flags))).toBe('EINVAL')
  })

  it('the path is the same list every time and cannot be changed', () => {
    const path = transitionPath(DeviceState.RUNNING, DeviceState.STOP_COPY, 1)
    expect(transitionPath(DeviceState.RUNNING, DeviceState.STOP_COPY, 1)).toBe(path)
    expect(() => (path as DeviceState[]).push(DeviceState.RUNNING)).toThrow(TypeError)
  })

  it.each([
    [
      3,
      6,
      7,
      'Cannot go from STOP_COPY to PRE_COPY: a saving session cannot go back to running, go to STOP first',
    ],
    [0, 2, 7, 'Cannot go from ERROR to RUNNING: the device has failed, reset it first'],
    [0, 0, 7, 'Cannot go from ERROR to ERROR: the device has failed, reset it first'],
    [2, 0, 7, 'Cannot go from RUNNING to ERROR: ERROR cannot be requested, ask for STOP or reset the device'],
    [
      2,
      5,
      1,
      'Cannot go from RUNNING to RUNNING_P2P: a device with flags 1 has no RUNNING_P2P, look at its flags first',
    ],
    [2, 9, 7, 'Cannot go from RUNNING to state 9: there is no such state, ask for one of 1 to 7'],
    [
      6,
      1,
      3,
      'Cannot go from PRE_COPY to STOP: a device with flags 3 is never in PRE_COPY, read the state back',
    ],
    [2, 1, 6, 'Cannot use capability flags 6: STOP_COPY (1) is missing, pass 1, 3, 5 or 7'],
  ])('%i to %i with flags %i says why and what to do', (from, to, flags, message) => {
    expect(() => nextState(from, to, flags)).toThrow(message)
  })

  it('a refusal carries the state the device is still in', () => {
    try {
      nextState(DeviceState.STOP_COPY, DeviceState.PRE_COPY, 7)
      expect.unreachable()
    } catch (error) {
      expect(VfioError.is(error, 'EINVAL') && error.state).toBe(DeviceState.STOP_COPY)
    }
  })
})

describe('answers of a running Linux 6.12 (mtty, flags 7)', () => {
  it('all 70 recorded lines are here: 7 states, 10 requests each', () => {
    expect(KERNEL_ANSWERS).toHaveLength(70)
    expect(new Set(KERNEL_ANSWERS.map(({ from }) => from)).size).toBe(7)
  })

  it.each(KERNEL_ANSWERS)(
    '$from to $target: rc $rc, state $state, fd $fd',
    ({ from, target, rc, state, fd }) => {
      const current = DeviceState[from as keyof typeof DeviceState]
      const result = outcome(() => transitionPath(current, target, 7))
      // Nothing was written before these, so the driver refused the load on RESUMING to STOP; the state
      // machine has a path that begins with that arc, and the device stayed where it was.
      if (from === 'RESUMING' && rc !== 0 && result === 'ok') {
        expect(nextState(current, target, 7)).toBe(DeviceState.STOP)
        expect([rc, state, fd]).toEqual([-22, 'RESUMING', false])
        return
      }
      expect(result).toBe(rc === 0 ? 'ok' : 'EINVAL')
      const reached = rc === 0 ? (transitionPath(current, target, 7).at(-1) ?? current) : current
      expect(deviceStateName(reached)).toBe(state)
      expect(rc === 0 && opensSession(current, target) !== undefined).toBe(fd)
    },
  )
})
