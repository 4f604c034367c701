import { runInNewContext } from 'node:vm'
import { setFlagsFromString } from 'node:v8'
import { describe, expect, it, vi } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDNORM } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { openTestSession } from '../../support/open-test-session.ts'
import { turn } from '../../support/pending.ts'
import { ScriptedResume, ScriptedSave } from '../../support/scripted-driver.ts'
import { outcome } from '../../support/vfio-error.ts'

function idle() {
  const end = new ScriptedSave(new Uint8Array(0))
  const handle = openTestSession(end, DeviceState.PRE_COPY)
  return { end, handle, session: handle.session }
}

describe('DataSession.poll', () => {
  it('B.1 follows the driver, then POLLERR | POLLHUP after the end, then POLLNVAL after close', () => {
    const { session, end, handle } = idle()
    expect(session.poll()).toBe(0)
    end.push(Uint8Array.of(1))
    expect(session.poll()).toBe(POLLIN | POLLRDNORM)
    const letGo = handle.hold()
    expect(session.poll()).toBe(0)
    letGo()
    handle.terminate('the test ended it')
    expect(session.poll()).toBe(POLLERR | POLLHUP)
    session.close()
    expect(session.poll()).toBe(POLLNVAL)
  })
})

describe('DataSession.ready', () => {
  it('resolves at once to the events asked for that are there', async () => {
    const { session, end } = idle()
    end.push(Uint8Array.of(1))
    expect(await session.ready(POLLIN)).toBe(POLLIN)
    expect(await session.ready(POLLIN | POLLRDNORM | POLLOUT)).toBe(POLLIN | POLLRDNORM)
  })

  it('after ENOMSG it settles when data arrives', async () => {
    const { session, end } = idle()
    expect(outcome(() => session.read(new Uint8Array(1)))).toBe('ENOMSG')
    const ready = session.ready(POLLIN)
    end.push(Uint8Array.of(1))
    expect(await ready).toBe(POLLIN)
  })

  it('after ENOMSG it settles when STOP_COPY is entered', async () => {
    const { session, end, handle } = idle()
    const ready = session.ready(POLLIN)
    handle.device.state = DeviceState.STOP_COPY
    end.atPermanentEnd = true
    handle.wake()
    expect(await ready).toBe(POLLIN)
    expect(session.read(new Uint8Array(1))).toBe(0)
  })

  it('settles with POLLERR | POLLHUP when the session ends and with POLLNVAL when it is closed', async () => {
    const ended = idle()
    const onEnd = ended.session.ready(POLLIN)
    ended.handle.terminate('the test ended it')
    expect(await onEnd).toBe(POLLERR | POLLHUP)
    const closed = idle()
    const onClose = closed.session.ready(POLLIN)
    closed.session.close()
    expect(await onClose).toBe(POLLNVAL)
  })

  it('does not settle on a wake without the events asked for', async () => {
    const { session, end, handle } = idle()
    let settled = false
    const ready = session.ready(POLLOUT).then(() => (settled = true))
    end.push(Uint8Array.of(1))
    handle.wake()
    await turn()
    expect(settled).toBe(false)
    session.close()
    await ready
  })

  it('settles when a held arc let go', async () => {
    const { session, handle } = { ...idle(), ...openResuming() }
    const letGo = handle.hold()
    const ready = session.ready(POLLOUT)
    letGo()
    expect(await ready).toBe(POLLOUT)
  })

  it('rejects with the reason of an aborted signal, before or during the wait', async () => {
    const { session } = idle()
    const reason = new Error('enough')
    await expect(session.ready(POLLIN, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const controller = new AbortController()
    const ready = session.ready(POLLIN, { signal: controller.signal })
    controller.abort(reason)
    await expect(ready).rejects.toBe(reason)
  })
})

describe('the end of a session', () => {
  it('leaves nothing behind on a signal that outlives the wait', async () => {
    const { session, end } = idle()
    const { signal } = new AbortController()
    const add = vi.spyOn(signal, 'addEventListener')
    const remove = vi.spyOn(signal, 'removeEventListener')
    const ready = session.ready(POLLIN, { signal })
    end.push(Uint8Array.of(1))
    expect(await ready).toBe(POLLIN)
    expect(add).toHaveBeenCalledTimes(1)
    expect(remove.mock.calls).toEqual(add.mock.calls.map((call) => call.slice(0, 2)))
  })

  it('shows ended aborted, with the error that calls give as their cause, to who looks only afterwards', () => {
    const { session, handle } = idle()
    handle.terminate('the device left PRE_COPY')
    let cause: unknown
    try {
      session.read(new Uint8Array(1))
    } catch (error) {
      cause = (error as VfioError).cause
    }
    expect(session.ended.aborted).toBe(true)
    expect(session.ended.reason).toBe(cause)
    expect(VfioError.is(cause, 'ENODEV')).toBe(true)
    expect(session.ended).toBe(session.ended)
  })

  it('fires ended once, with an ENODEV error, before the driver side is ended', () => {
    const { session, end, handle } = idle()
    const seen: unknown[] = []
    session.ended.addEventListener('abort', () => {
      seen.push(
        end.ended,
        outcome(() => session.read(new Uint8Array(1))),
      )
    })
    handle.terminate('the device left PRE_COPY')
    handle.terminate('again')
    expect(seen).toEqual([0, 'ENODEV'])
    expect(end.ended).toBe(1)
    expect(VfioError.is(session.ended.reason, 'ENODEV')).toBe(true)
    expect(session.ended.reason.message).toContain('the device left PRE_COPY')
  })

  it('A.7 a close by the user does not end the driver side', () => {
    const { session, end, handle } = idle()
    session.close()
    session.close()
    expect([session.closed, session.ended.aborted, end.ended]).toEqual([true, false, 0])
    handle.terminate('the device left PRE_COPY')
    expect(end.ended).toBe(1)
  })

  it('a driver side that throws from end() does not keep the session from ending', () => {
    const { session, end, handle } = idle()
    end.end = () => {
      throw new Error('broken')
    }
    handle.terminate('the test ended it')
    expect(session.poll()).toBe(POLLERR | POLLHUP)
  })

  it('an ended session holds the driver side only until its last lease is back', async () => {
    const { session, handle, end } = leasing()
    handle.terminate('the test ended it')
    await collectGarbage()
    expect(end.deref()).toBeDefined()
    session.release()
    await collectGarbage()
    expect(end.deref()).toBeUndefined()
    expect(session.poll()).toBe(POLLERR | POLLHUP)
  })
})

function openResuming() {
  const handle = openTestSession(new ScriptedResume(), DeviceState.RESUMING)
  return { handle, session: handle.session }
}

/** A session with one lease of the driver's memory out; the driver side is only weakly held here. */
function leasing() {
  const end = Object.assign(new ScriptedSave(Uint8Array.of(1)), {
    lease: () => Uint8Array.of(1),
    release: () => {},
  })
  const handle = openTestSession(end)
  handle.session.lease(1)
  return { handle, session: handle.session, end: new WeakRef(end) }
}

async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  // A WeakRef that was read stays alive until the turn ends.
  await turn()
  gc()
  await turn()
}
