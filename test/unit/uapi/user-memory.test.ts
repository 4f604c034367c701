import { describe, expect, it } from 'vitest'
import { userBytes } from '../../../src/uapi/index.ts'
import { outcome } from '../../support/vfio-error.ts'

describe('userBytes', () => {
  const memory = Uint8Array.from({ length: 16 }, (_, index) => index)

  it('is a view on exactly the bytes asked for, for number and bigint addresses', () => {
    expect([...userBytes(memory, 3, 2)]).toEqual([3, 4])
    expect([...userBytes(memory, 14n, 2)]).toEqual([14, 15])
    expect(userBytes(memory, 0, 16).buffer).toBe(memory.buffer)
  })

  it('counts addresses from the start of the array, not of its buffer', () => {
    expect([...userBytes(memory.subarray(4, 8), 1, 3)]).toEqual([5, 6, 7])
    expect(outcome(() => userBytes(memory.subarray(4, 8), 1, 4))).toBe('EFAULT')
  })

  it.each([
    15,
    16,
    17,
    -1,
    1.5,
    Number.NaN,
    Infinity,
    2 ** 53,
    -1n,
    1n << 53n,
    (1n << 64n) - 1n,
    (1n << 64n) + 3n,
  ])('address %s is EFAULT for two bytes of sixteen', (address) => {
    expect(outcome(() => userBytes(memory, address, 2))).toBe('EFAULT')
  })

  it('a detached array is EFAULT', () => {
    const detached = new Uint8Array(16)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    expect(outcome(() => userBytes(detached, 0, 1))).toBe('EFAULT')
  })

  it('no bytes are always in range', () => {
    expect(userBytes(memory, 1n << 60n, 0)).toHaveLength(0)
  })

  it('says how long the memory is and what to do', () => {
    expect(() => userBytes(memory, 16n, 8)).toThrow(
      "Cannot access 8 bytes at address 0x10: the caller's memory has 16 bytes, pass an address inside it",
    )
  })
})
