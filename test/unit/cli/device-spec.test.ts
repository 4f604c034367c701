import { describe, expect, it } from 'vitest'
import { parseDeviceSpec, parseOwnSpec } from '../../../src/cli/device-spec.ts'

describe('parseDeviceSpec', () => {
  it.each([
    ['mtty', { type: 'mtty' }],
    ['mtty:ports=1', { type: 'mtty', ports: 1 }],
    ['mtty:ports=2', { type: 'mtty', ports: 2 }],
    ['bulk', { type: 'bulk' }],
    ['bulk:size=0', { type: 'bulk', size: 0 }],
    ['bulk:size=1.5GiB,seed=7', { type: 'bulk', size: 1_610_612_736, seed: 7 }],
    ['bulk:seed=0xffffffff', { type: 'bulk', seed: 0xffff_ffff }],
    ['vfio-user:unix:/run/a', { type: 'vfio-user', path: '/run/a' }],
    ['vfio-user:/run/a:b,c=d', { type: 'vfio-user', path: '/run/a:b,c=d' }],
    ['./a.mjs', { type: 'module', path: './a.mjs' }],
    ['../a b.ts', { type: 'module', path: '../a b.ts' }],
    ['/a/b.js', { type: 'module', path: '/a/b.js' }],
    ['file:///a/b.mts', { type: 'module', path: 'file:///a/b.mts' }],
  ])('reads %s and adds nothing', (text, spec) => {
    expect(parseDeviceSpec(text)).toEqual(spec)
  })

  it.each([
    ['', /there is no device ""/],
    ['floppy', /there is no device "floppy", use mtty\[:ports=1\|2\], bulk\[.* or vfio-user:/],
    ['vfio-user:', /it names no path, write unix:PATH/],
    [`vfio-user:/${'a'.repeat(107)}`, /has more than 107 bytes, shorten it/],
    ['a.mjs', /there is no device "a\.mjs", use .*\.\/MODULE\.mjs or/],
    ['./a', /"\.\/a": it is no module, name a file that ends in \.mjs, \.js or \.ts/],
    ['.../a.mjs', /there is no device/],
    ['MTTY', /there is no device "MTTY"/],
    ['mtty:', /"" is no option/],
    ['mtty:ports', /"ports" is no option/],
    ['mtty:ports=', /"ports=" is no option/],
    ['mtty:ports=1=2', /"ports=1=2" is no option/],
    ['mtty:ports=3', /ports is 3, use 1 or 2/],
    ['mtty:size=1', /it has no option "size"/],
    ['bulk:ports=1', /it has no option "ports"/],
    ['bulk:size=1,size=2', /size comes twice/],
    ['bulk:size=1,', /"" is no option/],
    ['bulk:size=1.3KiB', /no whole number of bytes/],
    ['bulk:seed=-1', /seed is -1, use 0 to 4294967295/],
    ['bulk:seed=4294967296', /seed is 4294967296/],
    ['bulk:seed=x', /seed is x/],
    ['bulk:__proto__=1', /it has no option "__proto__"/],
  ])('refuses %j', (text, reason) => {
    expect(() => parseDeviceSpec(text)).toThrow(RangeError)
    expect(() => parseDeviceSpec(text)).toThrow(reason)
  })
})

describe('parseOwnSpec', () => {
  it('reads devices that are created here, and no others', () => {
    expect(parseOwnSpec('mtty:ports=2')).toEqual({ type: 'mtty', ports: 2 })
    expect(parseOwnSpec('./a.mjs')).toEqual({ type: 'module', path: './a.mjs' })
    expect(() => parseOwnSpec('vfio-user:/run/a')).toThrow(
      /another server has it, use mtty\[:ports=1\|2\], bulk\[.* or \.\/MODULE\.mjs$/,
    )
  })
})
