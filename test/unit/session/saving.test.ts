import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { COPIED_LEASES_OUT, COPIED_LEASE_BYTES } from '../../../src/session/copied-leases.ts'
import type { SaveEnd } from '../../../src/session/session-end.ts'
import { POLLIN, POLLRDNORM } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { openTestSession } from '../../support/open-test-session.ts'
import { ScriptedSave } from '../../support/scripted-driver.ts'
import { outcome } from '../../support/vfio-error.ts'

const { PRE_COPY, PRE_COPY_P2P, STOP_COPY } = DeviceState

function saving(
  bytes: readonly number[],
  state: DeviceState = STOP_COPY,
  options: { rawEnd?: boolean } = {},
) {
  const end = new ScriptedSave(Uint8Array.from(bytes), options)
  return { end, ...handleOf(end, state) }
}

function handleOf(end: SaveEnd, state: DeviceState = STOP_COPY) {
  const handle = openTestSession(end, state)
  return { handle, session: handle.session, device: handle.device }
}

function readAll(read: (dst: Uint8Array) => number, size = 2): number[] {
  const all: number[] = []
  const dst = new Uint8Array(size)
  for (let n = read(dst); n > 0; n = read(dst)) all.push(...dst.subarray(0, n))
  return all
}

/** A driver that leases from its own memory and counts what is out. */
class LeasingEnd implements SaveEnd {
  readonly direction = 'save'
  readonly memory = Uint8Array.from({ length: 10 }, (_, i) => i)
  position = 0
  released = 0
  endedWithOut: number | undefined
  read(dst: Uint8Array): number {
    const bytes = this.lease(dst.length)
    dst.set(bytes)
    return bytes.length
  }
  poll(): number {
    return POLLIN | POLLRDNORM
  }
  lease(maxBytes: number): Uint8Array {
    const bytes = this.memory.subarray(this.position, this.position + maxBytes)
    this.position += bytes.length
    return bytes
  }
  release(): void {
    this.released++
  }
  end(): void {
    this.endedWithOut = this.released
  }
}

describe('DataSession.read', () => {
  it('B.1 gives the bytes in order and then 0, again and again, in STOP_COPY', () => {
    const { session } = saving([1, 2, 3, 4, 5])
    expect(readAll((dst) => session.read(dst))).toEqual([1, 2, 3, 4, 5])
    expect(session.read(new Uint8Array(8))).toBe(0)
  })

  it.each([PRE_COPY, PRE_COPY_P2P])('B.1 the temporary end in state %i is ENOMSG', (state) => {
    const { session, device } = saving([], state)
    expect(outcome(() => session.read(new Uint8Array(1)))).toBe('ENOMSG')
    device.state = STOP_COPY
    expect(session.read(new Uint8Array(1))).toBe(0)
  })

  it('B.1 an ENOMSG that a driver throws in STOP_COPY is EIO, for it must never be returned there', () => {
    const { session, end, device } = saving([1], PRE_COPY)
    end.failure = new VfioError('ENOMSG', 'Cannot read: nothing now')
    expect(outcome(() => session.read(new Uint8Array(1)))).toBe('ENOMSG')
    device.state = STOP_COPY
    expect(outcome(() => session.read(new Uint8Array(1)))).toBe('EIO')
  })

  it('B.2 profile exact shows the raw 0 in PRE_COPY through read, but not through lease', () => {
    const { session } = saving([], PRE_COPY, { rawEnd: true })
    expect(session.read(new Uint8Array(1))).toBe(0)
    expect(outcome(() => session.lease(1))).toBe('ENOMSG')
  })

  it('B.1 a read into a buffer that was transferred away is EFAULT, not the end of the stream', () => {
    const { session, end } = saving([1, 2])
    const dst = new Uint8Array(8)
    structuredClone(dst.buffer, { transfer: [dst.buffer] })
    expect(outcome(() => session.read(dst))).toBe('EFAULT')
    expect(end.reads).toBe(0)
    expect(session.read(new Uint8Array(8))).toBe(2)
  })

  it('an empty dst reads 0 bytes without asking the driver', () => {
    const { session, end } = saving([], PRE_COPY)
    expect(session.read(new Uint8Array(0))).toBe(0)
    expect(end.reads).toBe(0)
  })

  it('ENOMSG carries no stack trace of its callers', () => {
    const { session } = saving([], PRE_COPY)
    const error = catchError(() => session.read(new Uint8Array(1)))
    expect(error.stack?.split('\n').length).toBe(1)
  })

  it.each([-1, 3, 1.5, Number.NaN])('a driver that returns %f of 2 bytes is EIO', (byteLength) => {
    const end = new ScriptedSave(Uint8Array.of(1))
    end.read = () => byteLength
    expect(outcome(() => handleOf(end).session.read(new Uint8Array(2)))).toBe('EIO')
  })

  it('a driver error that is no VfioError is EIO with its cause', () => {
    const { session, end } = saving([1])
    const cause = new TypeError('broken')
    end.failure = cause
    expect(catchError(() => session.read(new Uint8Array(1)))).toMatchObject({ code: 'EIO', cause })
  })
})

describe('order of errors when saving', () => {
  it('B.1 the wrong direction is EBADF, before ENODEV', () => {
    const { session, handle } = saving([1])
    const wrong = [() => session.write(new Uint8Array(1)), () => session.window(1), () => session.commit(0)]
    expect(wrong.map(outcome)).toEqual(['EBADF', 'EBADF', 'EBADF'])
    expect(outcome(() => session.writable())).toBe('EBADF')
    handle.terminate('the test ended it')
    expect(wrong.map(outcome)).toEqual(['EBADF', 'EBADF', 'EBADF'])
  })

  it('EBADF when closed comes before ENODEV, and ENODEV before EBUSY', () => {
    const { session, handle } = saving([1, 2])
    const calls = [() => session.read(new Uint8Array(1)), () => session.lease(1)]
    const letGo = handle.hold()
    expect(calls.map(outcome)).toEqual(['EBUSY', 'EBUSY'])
    handle.terminate('the test ended it')
    expect(calls.map(outcome)).toEqual(['ENODEV', 'ENODEV'])
    session.close()
    expect(calls.map(outcome)).toEqual(['EBADF', 'EBADF'])
    expect(outcome(() => session.readable())).toBe('EBADF')
    letGo()
  })

  it('a call after a held arc that failed works again', () => {
    const { session, handle } = saving([7])
    const first = handle.hold()
    const second = handle.hold()
    first()
    expect(outcome(() => session.read(new Uint8Array(1)))).toBe('EBUSY')
    second()
    expect(session.read(new Uint8Array(1))).toBe(1)
  })
})

describe('DataSession.lease over a driver without leases', () => {
  it('queues copies of at most 64 KiB that do not change before their release', () => {
    const { session } = saving(Array.from({ length: COPIED_LEASE_BYTES + 10 }, (_, i) => i & 0xff))
    const first = session.lease(1_000_000)
    const second = session.lease(4)
    const third = session.lease(1_000)
    expect([first.length, second.length, third.length]).toEqual([COPIED_LEASE_BYTES, 4, 6])
    expect([...second]).toEqual([0, 1, 2, 3])
    session.release()
    expect([...second]).toEqual([0, 1, 2, 3])
    expect([...third]).toEqual([4, 5, 6, 7, 8, 9])
  })

  it('an exhausted STOP_COPY leases an empty view, which is no lease', () => {
    const { session } = saving([])
    expect(session.lease(10).length).toBe(0)
    expect(outcome(() => session.release())).toBe('EINVAL')
    expect(session.read(new Uint8Array(1))).toBe(0)
  })

  it('an exhausted PRE_COPY is ENOMSG and takes no buffer', () => {
    const { session, end } = saving([], PRE_COPY)
    for (let i = 0; i < 2 * COPIED_LEASES_OUT; i++) expect(outcome(() => session.lease(10))).toBe('ENOMSG')
    end.push(Uint8Array.of(1))
    expect([...session.lease(10)]).toEqual([1])
  })

  it('is EAGAIN and not readable when all buffers are out, and goes on after a release', () => {
    const { session } = saving(Array.from({ length: 100 }, (_, i) => i))
    for (let i = 0; i < COPIED_LEASES_OUT; i++) session.lease(1)
    expect(outcome(() => session.lease(1))).toBe('EAGAIN')
    expect(session.poll()).toBe(0)
    session.release()
    expect(session.poll()).toBe(POLLIN | POLLRDNORM)
    expect([...session.lease(1)]).toEqual([COPIED_LEASES_OUT])
  })

  it('a read while a lease is out is EBUSY', () => {
    const { session } = saving([1, 2])
    session.lease(1)
    expect(outcome(() => session.read(new Uint8Array(1)))).toBe('EBUSY')
    session.release()
    expect(session.read(new Uint8Array(1))).toBe(1)
  })

  it.each([0, -1, 1.5, Number.NaN])('a lease of %f bytes is EINVAL', (maxBytes) => {
    expect(outcome(() => saving([1]).session.lease(maxBytes))).toBe('EINVAL')
  })
})

describe('DataSession.lease over a driver with leases', () => {
  it('hands the driver memory itself on and gives back in order', () => {
    const end = new LeasingEnd()
    const { session } = handleOf(end)
    const views = [session.lease(4), session.lease(4)]
    expect(views.every((view) => view.buffer === end.memory.buffer)).toBe(true)
    session.release()
    expect(end.released).toBe(1)
    session.release()
    expect(outcome(() => session.release())).toBe('EINVAL')
  })

  it('leases survive PRE_COPY to STOP_COPY', () => {
    const end = new LeasingEnd()
    const { session, device } = handleOf(end, PRE_COPY)
    const lease = session.lease(10)
    expect(outcome(() => session.lease(1))).toBe('ENOMSG')
    device.state = STOP_COPY
    expect(session.lease(1).length).toBe(0)
    expect([...lease]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    session.release()
    expect(end.released).toBe(1)
  })

  it('release works after the session ended and after it was closed, and tells the driver', () => {
    const end = new LeasingEnd()
    const { session, handle } = handleOf(end)
    session.lease(1)
    session.lease(1)
    handle.terminate('the test ended it')
    expect(end.endedWithOut).toBe(0)
    session.release()
    session.close()
    session.release()
    expect(end.released).toBe(2)
    expect(outcome(() => session.release())).toBe('EBADF')
  })

  it('a lease that is never released is given back when the session is ended and closed, in either order', () => {
    for (const order of [
      ['end', 'close'],
      ['close', 'end'],
    ]) {
      const end = new LeasingEnd()
      const { session, handle } = handleOf(end)
      session.lease(1)
      session.lease(1)
      for (const step of order) {
        expect(end.released).toBe(0)
        if (step === 'end') handle.terminate('the test ended it')
        else session.close()
      }
      expect(end.released).toBe(2)
      session.release()
      session.release()
      expect(end.released).toBe(2)
      expect(outcome(() => session.release())).toBe('EBADF')
    }
  })

  it('closing the session in a listener of ended ends the driver side before its leases go', () => {
    const end = new LeasingEnd()
    const { session, handle } = handleOf(end)
    session.lease(1)
    session.ended.addEventListener('abort', () => session.close())
    handle.terminate('the test ended it')
    expect(end.endedWithOut).toBe(0)
    expect(end.released).toBe(1)
  })

  it('a release in a listener of ended comes before the end of the driver side', () => {
    const end = new LeasingEnd()
    const { session, handle } = handleOf(end)
    session.lease(1)
    session.ended.addEventListener('abort', () => session.release())
    handle.terminate('the test ended it')
    expect(end.endedWithOut).toBe(1)
  })

  it('a driver that leases more than it was asked for is EIO', () => {
    const end = new LeasingEnd()
    end.lease = () => end.memory
    expect(outcome(() => handleOf(end).session.lease(9))).toBe('EIO')
  })
})

function catchError(call: () => unknown): Error {
  try {
    call()
  } catch (error) {
    return error as Error
  }
  throw new Error('the call did not fail')
}
