import { describe, expect, it } from 'vitest'
import { checkMade } from '../../../src/cli/device-module.ts'
import { memoryBytesOf } from '../../../src/cli/module-device.ts'
import { createMtty } from '../../../src/devices/index.ts'
import { VfioError } from '../../../src/errors.ts'

describe('checkMade', () => {
  it('takes a driver', () => {
    const mtty = createMtty()
    expect(checkMade('./a.mjs', mtty)).toBe(mtty)
  })

  const identity = { type: 'a', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' }
  it.each<readonly [unknown, RegExp]>([
    [undefined, /"\.\/a\.mjs" returned undefined for a driver, return what defineDevice returns/],
    [null, /returned null for a driver/],
    ['mtty', /returned string for a driver/],
    [() => {}, /returned function for a driver/],
    [{}, /returned a driver without identity/],
    [{ identity: null }, /without identity/],
    ...[{ type: 1 }, { version: 1.5 }, { fingerprint: 'ab' }, { stream: 'raw' }].map(
      (wrong) => [{ identity: { ...identity, ...wrong } }, /identity lacks a type/] as const,
    ),
  ])('refuses %j', (driver, reason) => {
    expect(() => checkMade('./a.mjs', driver)).toThrow(VfioError)
    expect(() => checkMade('./a.mjs', driver)).toThrow(reason)
  })
})

describe('memoryBytesOf', () => {
  it('adds the regions of a defineDevice device, and nothing else', () => {
    const configuration = {
      'memory.0.bytes': 4096,
      'memory.0.name': 'ram',
      'memory.11.bytes': 1,
      'a.bytes': 7,
    }
    expect(memoryBytesOf(configuration)).toBe(4097)
    expect(memoryBytesOf({})).toBe(0)
  })

  it.each(['much', '4000000000', 2n ** 53n, 4_000_000_000n, true, -1, 0.5, Number.NaN])(
    'counts no region of %s bytes as none',
    (bytes) => {
      const configuration = { 'memory.0.bytes': 4096, 'memory.1.bytes': bytes }
      expect(memoryBytesOf(configuration)).toBe('its memory region 1 is not declared by an integer of bytes')
    },
  )
})
