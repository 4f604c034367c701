import { describe, expect, it } from 'vitest'
import { type ErrnoName, VfioError } from '../../../src/errors.ts'
import { STAGED_WINDOW_BYTES } from '../../../src/session/resume-side.ts'
import type { ResumeEnd } from '../../../src/session/session-end.ts'
import { POLLOUT } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { openTestSession } from '../../support/open-test-session.ts'
import { ScriptedResume } from '../../support/scripted-driver.ts'
import { outcome } from '../../support/vfio-error.ts'

function resuming<End extends ResumeEnd = ScriptedResume>(
  end: End = new ScriptedResume() as ResumeEnd as End,
) {
  const handle = openTestSession(end, DeviceState.RESUMING)
  return { end, handle, session: handle.session }
}

function failing(code: ErrnoName): VfioError {
  return new VfioError(code, `Cannot write: the test says ${code}`)
}

/** A driver that takes the stream straight into its memory. */
class WindowEnd implements ResumeEnd {
  readonly direction = 'resume'
  readonly memory = new Uint8Array(8)
  position = 0
  committed: number[] = []
  failNext: unknown
  write(src: Uint8Array): number {
    this.memory.set(src, this.position)
    this.position += src.length
    return src.length
  }
  window(maxBytes: number): Uint8Array {
    return this.memory.subarray(this.position, this.position + maxBytes)
  }
  commit(byteLength: number): void {
    const failure = this.failNext
    this.failNext = undefined
    if (failure !== undefined) throw failure as Error
    this.committed.push(byteLength)
    this.position += byteLength
  }
  end(): void {}
}

const BYTE = Uint8Array.of(1)

describe('DataSession.write', () => {
  it('B.1 a write of a buffer that was transferred away is EFAULT, consumes nothing and is not sticky', () => {
    const { session, end } = resuming()
    const src = new Uint8Array(8)
    structuredClone(src.buffer, { transfer: [src.buffer] })
    expect(outcome(() => session.write(src))).toBe('EFAULT')
    expect(session.write(BYTE)).toBe(1)
    expect(end.taken).toEqual([1])
  })

  it('B.1 takes the stream in any segmentation', () => {
    const { session, end } = resuming()
    expect([[1], [2, 3], [], [4, 5, 6]].map((part) => session.write(Uint8Array.from(part)))).toEqual([
      1, 2, 0, 3,
    ])
    expect(end.taken).toEqual([1, 2, 3, 4, 5, 6])
  })

  it.each(['EINVAL', 'EOPNOTSUPP', 'EBADMSG', 'EPROTO', 'EIO'] as const)(
    'F a write that failed with %s is sticky: the same error again, the driver not asked',
    (code) => {
      const { session, end, handle } = resuming()
      const failure = failing(code)
      end.failNext = failure
      expect(() => session.write(BYTE)).toThrow(failure)
      expect(() => session.write(BYTE)).toThrow(failure)
      expect(() => session.write(new Uint8Array(0))).toThrow(failure)
      expect(() => session.window(1)).toThrow(failure)
      expect(end.writes).toBe(1)
      expect(handle.failure).toBe(failure)
    },
  )

  it.each(['EAGAIN', 'EBADF', 'EFAULT', 'EBUSY', 'ENOMEM'] as const)(
    'a write that failed with %s is not sticky',
    (code) => {
      const { session, end, handle } = resuming()
      end.failNext = failing(code)
      expect(outcome(() => session.write(BYTE))).toBe(code)
      expect(session.write(BYTE)).toBe(1)
      expect(handle.failure).toBeUndefined()
    },
  )

  it('B.3 an end with stickyFailures false forgets, as the sample driver does', () => {
    const { session, end } = resuming(Object.assign(new ScriptedResume(), { stickyFailures: false }))
    end.failNext = failing('EINVAL')
    expect(outcome(() => session.write(BYTE))).toBe('EINVAL')
    expect(session.write(BYTE)).toBe(1)
  })

  it('a driver error that is no VfioError is EIO, sticky, with its cause', () => {
    const { session, end, handle } = resuming()
    end.failNext = new TypeError('broken')
    expect(outcome(() => session.write(BYTE))).toBe('EIO')
    expect(outcome(() => session.write(BYTE))).toBe('EIO')
    expect(handle.failure?.cause).toBeInstanceOf(TypeError)
  })

  it('a driver that takes less than all is EIO and sticky: the rest would be lost', () => {
    const { session, end } = resuming()
    end.write = (src) => src.length - 1
    expect(outcome(() => session.write(new Uint8Array(3)))).toBe('EIO')
    expect(outcome(() => session.write(BYTE))).toBe('EIO')
  })
})

describe('order of errors when resuming', () => {
  it('EBADF, ENODEV, EBUSY, then the sticky failure', () => {
    const { session, end, handle } = resuming()
    end.failNext = failing('EPROTO')
    const calls = [() => session.write(BYTE), () => session.window(1)]
    expect(outcome(calls[0]!)).toBe('EPROTO')
    const letGo = handle.hold()
    expect(calls.map(outcome)).toEqual(['EBUSY', 'EBUSY'])
    letGo()
    expect(calls.map(outcome)).toEqual(['EPROTO', 'EPROTO'])
    handle.terminate('the test ended it')
    expect(calls.map(outcome)).toEqual(['ENODEV', 'ENODEV'])
    session.close()
    expect(calls.map(outcome)).toEqual(['EBADF', 'EBADF'])
  })

  it('B.1 the wrong direction is EBADF', () => {
    const { session } = resuming()
    const wrong = [() => session.read(BYTE), () => session.lease(1), () => session.release()]
    expect(wrong.map(outcome)).toEqual(['EBADF', 'EBADF', 'EBADF'])
    expect(outcome(() => session.readable())).toBe('EBADF')
  })

  it('B.3 the admit of an end runs before ENODEV, also after the end, and behind EBADF', () => {
    const admitted: number[] = []
    const admit = (byteLength: number): void => {
      admitted.push(byteLength)
      if (byteLength > 4) throw failing('ENOMEM')
    }
    const { session, handle } = resuming(Object.assign(new ScriptedResume(), { admit }))
    expect(outcome(() => session.write(new Uint8Array(5)))).toBe('ENOMEM')
    handle.terminate('the test ended it')
    expect(outcome(() => session.write(new Uint8Array(5)))).toBe('ENOMEM')
    expect(outcome(() => session.write(new Uint8Array(4)))).toBe('ENODEV')
    session.close()
    expect(outcome(() => session.write(new Uint8Array(5)))).toBe('EBADF')
    expect(admitted).toEqual([5, 5, 4])
  })
})

describe.each([
  ['a driver with windows', () => new WindowEnd()],
  ['a driver without windows', () => new ScriptedResume()],
])('DataSession.window over %s', (_name, createEnd) => {
  it('is one at a time: write and a second window are EBUSY until commit', () => {
    const { session, handle } = resuming(createEnd())
    expect(handle.windowOut).toBe(false)
    session.window(4).fill(9)
    expect(handle.windowOut).toBe(true)
    expect([() => session.write(BYTE), () => session.window(1)].map(outcome)).toEqual(['EBUSY', 'EBUSY'])
    session.commit(3)
    expect(handle.windowOut).toBe(false)
    expect(session.write(BYTE)).toBe(1)
  })

  it('commit takes 0 to the window length, EINVAL beyond and without a window', () => {
    const { session } = resuming(createEnd())
    expect(outcome(() => session.commit(0))).toBe('EINVAL')
    const { length } = session.window(4)
    for (const bad of [-1, length + 1, 0.5, Number.NaN]) {
      expect(outcome(() => session.commit(bad))).toBe('EINVAL')
    }
    session.commit(length)
    session.window(4)
    session.commit(0)
    expect(outcome(() => session.commit(0))).toBe('EINVAL')
  })

  it.each([0, -1, 1.5, Number.NaN])('a window of %f bytes is EINVAL', (maxBytes) => {
    expect(outcome(() => resuming(createEnd()).session.window(maxBytes))).toBe('EINVAL')
  })

  it('after the end of the session it is ENODEV, and the window is no longer out', () => {
    const { session, handle } = resuming(createEnd())
    session.window(1)
    handle.terminate('the test ended it')
    expect([() => session.commit(1), () => session.window(1)].map(outcome)).toEqual(['ENODEV', 'ENODEV'])
    expect(handle.windowOut).toBe(false)
  })

  it('a closed session has no window out, so the device can leave RESUMING', () => {
    const { session, handle } = resuming(createEnd())
    session.window(1)
    session.close()
    expect(handle.windowOut).toBe(false)
  })
})

describe('DataSession.commit', () => {
  it('hands the filled bytes to the driver once, in place', () => {
    const { session, end } = resuming(new WindowEnd())
    const window = session.window(8)
    expect(window.buffer).toBe(end.memory.buffer)
    window.set([1, 2, 3])
    session.commit(3)
    session.window(2).set([4, 5])
    session.commit(2)
    expect([...end.memory]).toEqual([1, 2, 3, 4, 5, 0, 0, 0])
    expect(end.committed).toEqual([3, 2])
  })

  it('stages at most 64 KiB for a driver without windows', () => {
    const { session, end } = resuming()
    const window = session.window(1_000_000)
    expect(window.length).toBe(STAGED_WINDOW_BYTES)
    window.set([1, 2, 3])
    session.commit(3)
    expect(end.taken).toEqual([1, 2, 3])
  })

  it('keeps the window out after EAGAIN, for the same commit again', () => {
    const { session, end } = resuming()
    end.failNext = failing('EAGAIN')
    session.window(2).set([1, 2])
    expect(outcome(() => session.commit(2))).toBe('EAGAIN')
    expect(outcome(() => session.window(1))).toBe('EBUSY')
    session.commit(2)
    expect(end.taken).toEqual([1, 2])
  })

  it('a failure of content is sticky, the window is given back', () => {
    const { session, end, handle } = resuming(new WindowEnd())
    end.failNext = failing('EBADMSG')
    session.window(2)
    expect(outcome(() => session.commit(2))).toBe('EBADMSG')
    expect(handle.windowOut).toBe(false)
    expect([() => session.write(BYTE), () => session.window(1)].map(outcome)).toEqual(['EBADMSG', 'EBADMSG'])
  })

  it('an empty window of a driver is EIO', () => {
    const { session, end } = resuming(new WindowEnd())
    end.position = 8
    expect(outcome(() => session.window(4))).toBe('EIO')
  })
})

describe('poll when resuming', () => {
  it('is POLLOUT unless the driver says otherwise', () => {
    expect(resuming().session.poll()).toBe(POLLOUT)
    expect(resuming(Object.assign(new ScriptedResume(), { poll: () => 0 })).session.poll()).toBe(0)
  })
})
