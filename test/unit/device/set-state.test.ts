import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState, deviceStateName } from '../../../src/uapi/state.ts'
import { FLAG_SETS, type FlagSet, PACKED_NEXT_STATES } from '../../support/migration-oracle.ts'
import { codeOf, deferred, failureOf, turn } from '../../support/pending.ts'
import {
  ScriptedDriver,
  type ScriptedOptions,
  ScriptedResume,
  ScriptedSave,
} from '../../support/scripted-driver.ts'

const { ERROR, PRE_COPY, PRE_COPY_P2P, RESUMING, RUNNING, RUNNING_P2P, STOP, STOP_COPY } = DeviceState
const STATES: readonly DeviceState[] = [1, 2, 3, 4, 5, 6, 7]
const BYTE = new Uint8Array(1)

async function open(options: ScriptedOptions = {}) {
  const driver = new ScriptedDriver(options)
  const device = await VfioDevice.open(driver)
  driver.calls.length = 0
  return { driver, device }
}

/** A device that failed on its way out of RUNNING. */
async function failed(options: ScriptedOptions = {}) {
  const { driver, device } = await open(options)
  driver.onArc = () => {
    throw new VfioError('EIO', 'Cannot stop: burnt', { state: ERROR })
  }
  await codeOf(() => device.setState(STOP))
  driver.onArc = () => {}
  return { driver, device }
}

/** Next states by the packed table, up to `target`; undefined where the table has none. */
function oraclePath(flags: FlagSet, from: DeviceState, target: DeviceState): DeviceState[] | undefined {
  const rows = PACKED_NEXT_STATES[flags].split(' ')
  const path: DeviceState[] = []
  for (let state = from; state !== target;) {
    state = Number(rows[state]![target]) as DeviceState
    if (state === ERROR) return undefined
    path.push(state)
  }
  return path
}

describe.each(FLAG_SETS)('VfioDevice.setState, flags %i', (flags) => {
  const inSet = STATES.filter((state) => oraclePath(flags, STOP, state) !== undefined)
  const pairs = inSet.flatMap((from) =>
    [...STATES, ERROR, 8, 9].map((to) => [from, to as DeviceState] as const),
  )

  it.each(pairs)('A.3 from %i to %i walks the arcs of the table', async (from, to) => {
    const { device, driver } = await open({ flags })
    await device.setState(from)
    driver.calls.length = 0
    const saving = [STOP_COPY, PRE_COPY, PRE_COPY_P2P] as DeviceState[]
    const group = (state: DeviceState): string =>
      saving.includes(state) ? 'save' : state === RESUMING ? 'resume' : ''
    const path = inSet.includes(to) ? oraclePath(flags, from, to) : undefined
    if (path === undefined) {
      const error = await failureOf(() => device.setState(to))
      expect([error.code, error.state, await device.state()]).toEqual(['EINVAL', from, from])
      expect(driver.calls).toEqual([])
      return
    }
    const session = await device.setState(to)
    const names = [from, ...path].map(deviceStateName)
    expect(driver.calls).toEqual(names.slice(1).map((name, i) => `${names[i]}>${name}`))
    expect(session?.direction ?? '').toBe(group(from) === group(to) ? '' : group(to))
    expect(await device.state()).toBe(to)
  })
})

describe('sessions along the arcs', () => {
  it.each([
    [STOP_COPY, STOP],
    [RESUMING, STOP],
    [PRE_COPY, RUNNING],
    [PRE_COPY_P2P, RUNNING_P2P],
  ])('A.3 leaving state %i for %i ends the session before the arc resolves', async (from, to) => {
    const { device, driver } = await open()
    const session = (await device.setState(from))!
    const order: string[] = []
    session.ended.addEventListener('abort', () => order.push('ended'))
    await device.setState(to).then(() => order.push('resolved'))
    expect(order).toEqual(['ended', 'resolved'])
    expect((driver.save ?? driver.resume)!.ended).toBe(1)
  })

  it('ended fires before the device may run again', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(STOP_COPY))!
    session.ended.addEventListener('abort', () => driver.calls.push('ended'))
    driver.calls.length = 0
    await device.setState(RUNNING)
    expect(driver.calls).toEqual(['STOP_COPY>STOP', 'ended', 'STOP>RUNNING_P2P', 'RUNNING_P2P>RUNNING'])
  })

  it('A.3 inside the saving group the same session goes on', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(PRE_COPY))!
    for (const state of [PRE_COPY_P2P, PRE_COPY, STOP_COPY]) {
      expect(await device.setState(state)).toBeUndefined()
    }
    expect([session.ended.aborted, driver.save!.ended]).toEqual([false, 0])
    expect(session.read(new Uint8Array(8))).toBe(5)
    expect(session.read(BYTE)).toBe(0)
  })

  it('A.3 RESUMING to STOP_COPY ends one session and opens another in one call', async () => {
    const { device } = await open()
    const resume = (await device.setState(RESUMING))!
    const save = (await device.setState(STOP_COPY))!
    expect([resume.ended.aborted, save.ended.aborted, save.direction]).toEqual([true, false, 'save'])
  })

  it('F STOP_COPY to PRE_COPY is EINVAL, state unchanged, session kept', async () => {
    const { device } = await open()
    const session = (await device.setState(STOP_COPY))!
    expect(await codeOf(() => device.setState(PRE_COPY))).toBe('EINVAL')
    expect(session.read(new Uint8Array(8))).toBe(5)
  })

  it('A.7 a session closed in RESUMING loads what was written, and no new one opens until it is left', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(RESUMING))!
    session.write(Uint8Array.of(1, 2))
    session.close()
    expect(await device.setState(RESUMING)).toBeUndefined()
    expect(driver.resume!.ended).toBe(0)
    await device.setState(STOP)
    expect([driver.resume!.taken, driver.resume!.ended]).toEqual([[1, 2], 1])
    expect(await device.setState(RESUMING)).toBeDefined()
  })

  it('B.1 precopy info of an old session: EINVAL outside PRE_COPY, ENODEV during a new one', async () => {
    const { device } = await open()
    const session = (await device.setState(PRE_COPY))!
    expect(session.precopyInfo().initialBytes).toBe(24)
    await device.setState(RUNNING)
    expect(await codeOf(() => session.precopyInfo())).toBe('EINVAL')
    await device.setState(PRE_COPY)
    expect(await codeOf(() => session.precopyInfo())).toBe('ENODEV')
  })

  it('a completed arc wakes who waits on the session', async () => {
    const { device } = await open({ bytes: new Uint8Array(0) })
    const session = (await device.setState(PRE_COPY))!
    const ready = session.ready(1)
    await device.setState(STOP_COPY)
    expect(await ready).toBe(1)
  })
})

describe('failing arcs', () => {
  it('A.2 keep the last completed state and reject with the driver error and the state', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(PRE_COPY))!
    const thrown = new VfioError('ENOTCONN', 'Cannot stop: link lost', { syscall: 'transition' })
    driver.onArc = (arc) => {
      if (arc === 'RUNNING>RUNNING_P2P') throw thrown
    }
    const error = await failureOf(() => device.setState(STOP))
    expect(error).toMatchObject({ code: 'ENOTCONN', message: thrown.message, state: RUNNING, cause: thrown })
    expect(await device.state()).toBe(RUNNING)
    expect(session.ended.aborted).toBe(true)
  })

  it.each([STOP_COPY, RESUMING, PRE_COPY])(
    'a failed arc out of state %i keeps the session usable',
    async (from) => {
      const { device, driver } = await open()
      const session = (await device.setState(from))!
      driver.onArc = () => {
        throw new VfioError('EINVAL', 'Cannot load: the stream is incomplete')
      }
      expect(await codeOf(() => device.setState(STOP))).toBe('EINVAL')
      expect(await device.state()).toBe(from)
      expect(session.ended.aborted).toBe(false)
      expect(from === RESUMING ? session.write(BYTE) : session.read(BYTE)).toBe(1)
    },
  )

  it('an error that is no VfioError is EIO with its cause', async () => {
    const { device, driver } = await open()
    const cause = new TypeError('broken')
    driver.onArc = () => {
      throw cause
    }
    const error = await failureOf(() => device.setState(STOP))
    expect([error.code, error.state]).toEqual(['EIO', RUNNING])
    expect(rootCause(error)).toBe(cause)
  })

  it('a VfioError with state ERROR moves to ERROR and ends the session', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(STOP_COPY))!
    driver.onArc = () => {
      throw new VfioError('EIO', 'Cannot stop: burnt', { state: ERROR })
    }
    const error = await failureOf(() => device.setState(STOP))
    expect([error.code, error.state, await device.state()]).toEqual(['EIO', ERROR, ERROR])
    expect([session.ended.aborted, driver.save!.ended]).toEqual([true, 1])
  })

  it('F in ERROR every target is EINVAL, ERROR too, until a reset', async () => {
    const { device, driver } = await failed()
    const targets = [ERROR, ...STATES, 8] as DeviceState[]
    expect(await Promise.all(targets.map((to) => codeOf(() => device.setState(to))))).toEqual(
      targets.map(() => 'EINVAL'),
    )
    expect(driver.calls).toEqual([])
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
  })

  it('F profile exact: SET(ERROR) in ERROR succeeds silently, as in the common driver loop', async () => {
    const { device } = await failed({ profile: 'exact' })
    expect(await device.setState(ERROR)).toBeUndefined()
    expect(await codeOf(() => device.setState(STOP))).toBe('EINVAL')
  })

  it('F profile exact: SET(ERROR) elsewhere is EINVAL', async () => {
    const { device } = await open({ profile: 'exact' })
    expect(await codeOf(() => device.setState(ERROR))).toBe('EINVAL')
  })

  it('a device without migration is ENOTTY', async () => {
    const { device } = await open({ flags: 0 })
    const calls = [() => device.setState(STOP), () => device.state(), () => device.stopCopyLength()]
    expect(await Promise.all(calls.map(codeOf))).toEqual(['ENOTTY', 'ENOTTY', 'ENOTTY'])
  })
})

describe('session ends that do not belong', () => {
  it('A.2 one from an interior arc is ended, EINVAL, the arc is made', async () => {
    const { device, driver } = await open()
    const end = new ScriptedSave(new Uint8Array(1))
    driver.endFor = (arc) => (arc === 'RUNNING>RUNNING_P2P' ? end : undefined)
    const error = await failureOf(() => device.setState(STOP))
    expect([error.code, error.state, end.ended]).toEqual(['EINVAL', RUNNING_P2P, 1])
    expect(await device.state()).toBe(RUNNING_P2P)
  })

  it('one that goes the wrong way is ended, EINVAL', async () => {
    const { device, driver } = await open()
    const end = new ScriptedResume()
    driver.endFor = (arc) => (arc === 'STOP>STOP_COPY' ? end : undefined)
    expect(await codeOf(() => device.setState(STOP_COPY))).toBe('EINVAL')
    expect(end.ended).toBe(1)
  })

  it('none from an arc that opens a session is EINVAL, the arc is made, and it can be left', async () => {
    const { device, driver } = await open()
    driver.endFor = () => undefined
    const error = await failureOf(() => device.setState(STOP_COPY))
    expect([error.code, error.state]).toEqual(['EINVAL', STOP_COPY])
    await device.setState(RUNNING)
    expect(await device.state()).toBe(RUNNING)
  })
})

describe('leaving RESUMING', () => {
  it.each([STOP, RUNNING, STOP_COPY])(
    'to %i with a window out is EBUSY and changes nothing',
    async (target) => {
      const { device, driver } = await open()
      const session = (await device.setState(RESUMING))!
      session.window(4)
      driver.calls.length = 0
      const error = await failureOf(() => device.setState(target))
      expect([error.code, error.state, driver.calls]).toEqual(['EBUSY', RESUMING, []])
      session.commit(0)
      expect(await codeOf(() => device.setState(target))).toBe('ok')
    },
  )

  it('F after a failed write is EINVAL, stays RESUMING, whatever the driver remembers', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(RESUMING))!
    const failure = new VfioError('EBADMSG', 'Cannot write: damaged')
    driver.resume!.failNext = failure
    expect(await codeOf(() => session.write(BYTE))).toBe('EBADMSG')
    const error = await failureOf(() => device.setState(RUNNING))
    expect([error.code, error.state, error.cause]).toMatchObject(['EINVAL', RESUMING, { cause: failure }])
    expect(await device.state()).toBe(RESUMING)
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
  })

  it('F a fresh session checks afresh', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(RESUMING))!
    driver.resume!.failNext = new VfioError('EBADMSG', 'Cannot write: damaged')
    await codeOf(() => session.write(BYTE))
    await device.reset()
    const fresh = (await device.setState(RESUMING))!
    expect(fresh.write(BYTE)).toBe(1)
    expect(await codeOf(() => device.setState(STOP))).toBe('ok')
  })

  it.each([
    [RESUMING, (session: DataSession) => session.write(BYTE)],
    [STOP_COPY, (session: DataSession) => session.read(BYTE)],
  ])('while an arc out of state %i is under way the session is EBUSY', async (from, use) => {
    const { device, driver } = await open()
    const session = (await device.setState(from))!
    const gate = deferred()
    driver.onArc = () => gate.promise
    const leaving = device.setState(STOP)
    await turn()
    expect(await codeOf(() => use(session))).toBe('EBUSY')
    expect(session.poll()).toBe(0)
    gate.resolve()
    await leaving
    expect(await codeOf(() => use(session))).toBe('ENODEV')
  })

  it('while PRE_COPY goes to STOP_COPY the session can be read', async () => {
    const { device, driver } = await open()
    const session = (await device.setState(PRE_COPY))!
    const gate = deferred()
    driver.onArc = () => gate.promise
    const stopping = device.setState(STOP_COPY)
    await turn()
    expect(session.read(new Uint8Array(8))).toBe(5)
    expect(await codeOf(() => session.read(BYTE))).toBe('ENOMSG')
    gate.resolve()
    await stopping
    expect(session.read(BYTE)).toBe(0)
  })
})

describe('AbortSignal', () => {
  it('an abort is seen between arcs: EINTR, with the state to read back', async () => {
    const { device, driver } = await open()
    const controller = new AbortController()
    driver.onArc = (arc) => {
      if (arc === 'RUNNING_P2P>STOP') controller.abort()
    }
    const error = await failureOf(() => device.setState(STOP_COPY, { signal: controller.signal }))
    expect([error.code, error.state]).toEqual(['EINTR', STOP])
    expect(driver.calls).toEqual(['RUNNING>RUNNING_P2P', 'RUNNING_P2P>STOP'])
    expect(await device.state()).toBe(STOP)
  })

  it('an abort during the last arc changes nothing', async () => {
    const { device, driver } = await open()
    const controller = new AbortController()
    driver.onArc = () => controller.abort()
    expect(await codeOf(() => device.setState(RUNNING_P2P, { signal: controller.signal }))).toBe('ok')
  })

  it("without a signal of the caller, the arcs of a call share one of their own, which is no other call's", async () => {
    const { driver, device } = await open()
    const seen: AbortSignal[] = []
    driver.onArc = (_arc, signal) => void seen.push(signal)
    await device.setState(STOP_COPY)
    await device.setState(RESUMING)
    expect(seen.map((signal) => [seen.indexOf(signal), signal.aborted])).toEqual([
      [0, false],
      [0, false],
      [0, false],
      [3, false],
      [3, false],
    ])
  })

  it('an aborted signal moves nothing, but to the current state there is nothing to abort', async () => {
    const { device, driver } = await open()
    const signal = AbortSignal.abort()
    expect(await codeOf(() => device.setState(STOP, { signal }))).toBe('EINTR')
    expect(await codeOf(() => device.setState(RUNNING, { signal }))).toBe('ok')
    expect(driver.calls).toEqual([])
  })

  it.each([
    ['the reason', (signal: AbortSignal) => signal.reason as Error, 'EINTR'],
    ['an error of its own', () => new Error('stopped'), 'EINTR'],
    ['a real failure', () => new VfioError('EIO', 'Cannot stop: burnt'), 'EIO'],
  ])('a driver that throws %s on an aborted signal', async (_name, thrown, code) => {
    const { device, driver } = await open()
    const controller = new AbortController()
    driver.onArc = (_arc, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(thrown(signal))))
    const call = failureOf(() => device.setState(STOP, { signal: controller.signal }))
    await turn()
    controller.abort()
    const error = await call
    expect([error.code, error.state]).toEqual([code, RUNNING])
  })

  it('a VfioError given as the reason of the abort is EINTR too', async () => {
    const { device, driver } = await open()
    const controller = new AbortController()
    driver.onArc = (_arc, signal) => {
      controller.abort(new VfioError('ECANCELED', 'Cannot go on: cancelled'))
      throw signal.reason
    }
    expect(await codeOf(() => device.setState(STOP, { signal: controller.signal }))).toBe('EINTR')
  })

  it('a driver without a caller signal gets one that never aborts', async () => {
    const { device, driver } = await open()
    let signal: AbortSignal | undefined
    driver.onArc = (_arc, given) => {
      signal = given
    }
    await device.setState(RUNNING_P2P)
    expect(signal?.aborted).toBe(false)
  })
})

function rootCause(error: Error): unknown {
  return error.cause instanceof Error && VfioError.is(error.cause) ? rootCause(error.cause) : error.cause
}
