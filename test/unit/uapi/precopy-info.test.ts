import { describe, expect, it } from 'vitest'
import { PrecopyInfoStruct, parsePrecopyInfo } from '../../../src/uapi/index.ts'
import { outcome } from '../../support/vfio-error.ts'

function argument(argsz: number): Uint8Array {
  return PrecopyInfoStruct.encode({ argsz, flags: 0xffff_ffff, initialBytes: 1n, dirtyBytes: 2n })
}

describe('parsePrecopyInfo', () => {
  it('B.1 argsz 23 is EINVAL, 24 and more are accepted, whatever flags the caller left behind', () => {
    expect(outcome(() => parsePrecopyInfo(argument(23), 0))).toBe('EINVAL')
    expect(parsePrecopyInfo(argument(24), 0)).toEqual({
      argsz: 24,
      flags: 0xffff_ffff,
      initialBytes: 1n,
      dirtyBytes: 2n,
    })
    expect(parsePrecopyInfo(argument(4096), 0).argsz).toBe(4096)
  })

  it('B.1 23 readable bytes are EFAULT, before argsz is looked at', () => {
    expect(outcome(() => parsePrecopyInfo(argument(0).subarray(0, 23), 0))).toBe('EFAULT')
  })
})
