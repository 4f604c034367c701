import { afterEach, describe, expect, it, vi } from 'vitest'
import { Errno, type ErrnoName, VfioError, errnoName } from '../../src/errors.ts'

const NAMES = Object.keys(Errno) as ErrnoName[]

afterEach(() => {
  vi.resetModules()
})

describe('VfioError', () => {
  it.each(NAMES)('0.1 %s has the sign of Node and can be told by number', (code) => {
    const error = new VfioError(code, 'Cannot test: it is one')
    expect(error).toBeInstanceOf(Error)
    expect([error.name, error.code, error.errno]).toEqual(['VfioError', code, -Errno[code]])
    expect(VfioError.fromErrno(Errno[code], 'm').code).toBe(code)
    expect(VfioError.fromErrno(-Errno[code], 'm').code).toBe(code)
    expect(errnoName(-Errno[code])).toBe(code)
  })

  it('keeps the number of an errno that has no name', () => {
    for (const errno of [6, -6]) {
      const error = VfioError.fromErrno(errno, 'm', { syscall: 'read' })
      expect([error.code, error.errno, error.syscall]).toEqual(['UNKNOWN', -6, 'read'])
    }
    expect(errnoName(6)).toBeUndefined()
  })

  it('carries what the failed call knew, and nothing it did not', () => {
    const cause = new TypeError('why')
    const told = { syscall: 'write', state: 0, section: 'header', offset: 0, cause }
    expect(new VfioError('EINVAL', 'm', told)).toMatchObject(told)
    const bare = new VfioError('EINVAL', 'm')
    expect([bare.syscall, bare.state, bare.section, bare.offset]).toEqual(Array(4).fill(undefined))
    expect('cause' in bare).toBe(false)
  })

  it('ENOMSG and EAGAIN cost no stack trace, and leave those of others alone', () => {
    const limit = Error.stackTraceLimit
    for (const code of ['ENOMSG', 'EAGAIN'] as const) {
      expect(new VfioError(code, 'm').stack?.split('\n')).toHaveLength(1)
      expect(Error.stackTraceLimit).toBe(limit)
      expect(new VfioError('EIO', 'm').stack).toContain('errors.test')
    }
  })
})

describe('VfioError.is', () => {
  it('knows errors of another copy of the package', async () => {
    vi.resetModules()
    const copy = await import('../../src/errors.ts')
    const foreign = new copy.VfioError('EBUSY', 'm')
    expect(foreign).not.toBeInstanceOf(VfioError)
    expect(VfioError.is(foreign)).toBe(true)
    expect(VfioError.is(foreign, 'EBUSY')).toBe(true)
    expect(VfioError.is(foreign, 'EIO')).toBe(false)
  })

  it.each([null, undefined, 'EINVAL', -22, new Error('EINVAL'), { code: 'EINVAL', errno: -22 }])(
    'does not take %o for one',
    (value) => {
      expect(VfioError.is(value)).toBe(false)
    },
  )
})
