import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import {
  array,
  blob,
  bool,
  defineDevice,
  i16,
  i32,
  i64,
  i8,
  nested,
  repeated,
  ring,
  type Schema,
  u16,
  u32,
  u64,
  u8,
} from '../../../src/driver/index.ts'
import { compileLayout, leafPath, leavesOf } from '../../../src/driver/layout.ts'
import { hex } from '../../support/hex.ts'
import { restoreOpen, save, stateOf, testEngine } from './session-io.ts'

const every = () =>
  defineDevice({
    type: 'every',
    version: 1,
    engine: testEngine,
    state: {
      u8: u8({ default: 1 }),
      u16: u16({ default: 2 }),
      u32: u32({ default: 3 }),
      u64: u64({ default: 4n }),
      i8: i8({ default: -1 }),
      i16: i16({ default: -2 }),
      i32: i32({ default: -3 }),
      i64: i64({ default: -4n }),
      yes: bool({ default: true }),
      no: bool(),
      words: array(u16({ default: 9 }), 3),
      longs: array(i64(), 2),
      bytes: ring(u8(), 2),
      queue: ring(u64(), 2),
      raw: blob(3),
      inner: nested({ a: u8({ default: 5 }), b: u32({ default: 6 }) }),
      units: repeated(2, { on: bool(), level: u16({ default: 7 }) }),
    },
  })

/** Offsets of the leaves in the live layout. */
function placed(schema: Schema): Record<string, number> {
  const leaves = leavesOf(compileLayout(schema, 1).parts)
  return Object.fromEntries(leaves.map((leaf) => [leafPath(leaf, []), leaf.live]))
}

describe('the live layout', () => {
  it('places each field at its natural alignment', () => {
    expect(placed({ a: u8(), b: u16(), c: u8(), d: u32(), e: bool(), f: u64(), g: i8() })).toEqual({
      a: 0,
      b: 2,
      c: 4,
      d: 8,
      e: 12,
      f: 16,
      g: 24,
    })
  })

  it('aligns arrays, rings, nested and repeated fields as their widest part', () => {
    const inner = { x: u8(), y: u64() }
    expect(
      placed({
        a: u8(),
        b: array(u32(), 2),
        c: blob(3),
        d: ring(u8(), 3),
        e: ring(u64(), 1),
        f: nested(inner),
        g: u8(),
        h: repeated(2, inner),
      }),
    ).toEqual({
      a: 0,
      b: 4,
      c: 12,
      'd.start': 16,
      'd.count': 20,
      d: 24,
      'e.start': 32,
      'e.count': 36,
      e: 40,
      'f.x': 48,
      'f.y': 56,
      g: 64,
      'h[0].x': 72,
      'h[0].y': 80,
    })
    expect(compileLayout({ g: u8(), h: repeated(2, inner) }, 1).liveBytes).toBe(40)
    expect(compileLayout({ a: u64(), b: u8() }, 1).liveBytes).toBe(16)
  })
})

it('power-on state holds the defaults, 0 where there is none', async () => {
  const driver = every()
  const device = await VfioDevice.open(driver)
  const { state } = driver
  expect(state).toMatchObject({
    u8: 1,
    u16: 2,
    u32: 3,
    u64: 4n,
    i8: -1,
    i16: -2,
    i32: -3,
    i64: -4n,
    yes: true,
    no: false,
  })
  expect([...(state.words as Uint16Array)]).toEqual([9, 9, 9])
  expect([...(state.longs as BigInt64Array)]).toEqual([0n, 0n])
  expect([state.bytes.length, state.bytes.capacity, state.bytes.shift()]).toEqual([0, 2, undefined])
  expect([...state.raw]).toEqual([0, 0, 0])
  expect(state.inner).toMatchObject({ a: 5, b: 6 })
  expect(state.units).toMatchObject([
    { on: false, level: 7 },
    { on: false, level: 7 },
  ])
  await device.close()
})

it('the packed state has the order of the schema and no padding, little endian', async () => {
  const driver = every()
  const stream = await save(driver, () => {
    driver.state.bytes.push(0xb1)
    driver.state.bytes.push(0xb2)
    driver.state.bytes.shift()
    driver.state.queue.push(0x1122n)
    driver.state.raw.set([0xa1, 0xa2, 0xa3])
    driver.state.units[1]!.on = true
  })
  expect(hex(stateOf(stream))).toBe(
    [
      '01 02 00 03 00 00 00 04 00 00 00 00 00 00 00',
      'ff fe ff fd ff ff ff fc ff ff ff ff ff ff ff',
      '01 00',
      '09 00 09 00 09 00',
      '00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00',
      '01 00 00 00 01 00 00 00 b1 b2',
      '00 00 00 00 01 00 00 00 22 11 00 00 00 00 00 00 00 00 00 00 00 00 00 00',
      'a1 a2 a3',
      '05 06 00 00 00',
      '00 07 00 01 07 00',
    ].join(' '),
  )
})

it('every kind of field is restored to its value', async () => {
  const source = every()
  const stream = await save(source, () => {
    Object.assign(source.state, {
      u8: 255,
      u16: 65_535,
      u32: 2 ** 32 - 1,
      u64: 2n ** 64n - 1n,
      i8: -128,
      i16: -32_768,
    })
    Object.assign(source.state, { i32: -(2 ** 31), i64: -(2n ** 63n), yes: false, no: true })
    source.state.words[1] = 0xbeef
    source.state.longs[0] = -1n
    source.state.queue.push(7n)
    source.state.inner.b = 77
    source.state.units[0]!.level = 8
  })
  const driver = every()
  const device = await VfioDevice.open(driver)
  await restoreOpen(device, stream)
  const { state } = driver
  expect(state).toMatchObject({
    u8: 255,
    u16: 65_535,
    u32: 2 ** 32 - 1,
    u64: 2n ** 64n - 1n,
    i8: -128,
    i16: -32_768,
  })
  expect(state).toMatchObject({ i32: -(2 ** 31), i64: -(2n ** 63n), yes: false, no: true })
  expect([...(state.words as Uint16Array)]).toEqual([9, 0xbeef, 9])
  expect([...(state.longs as BigInt64Array)]).toEqual([-1n, 0n])
  expect([state.queue.length, state.queue.at(0), state.queue.at(1), state.queue.at(-1)]).toEqual([
    1,
    7n,
    undefined,
    undefined,
  ])
  expect(state.inner.b).toBe(77)
  expect(state.units[0]?.level).toBe(8)
  await device.close()
})

it('a ring keeps order across its end and refuses more than its capacity', async () => {
  const driver = defineDevice({ type: 'r', version: 1, engine: testEngine, state: { r: ring(u8(), 3) } })
  const device = await VfioDevice.open(driver)
  const { r } = driver.state
  const model: number[] = []
  for (let i = 0; i < 50; i++) {
    if (i % 3 === 2) expect(r.shift()).toBe(model.shift())
    else {
      const fits = model.length < 3
      expect(r.push(i)).toBe(fits)
      if (fits) model.push(i)
    }
    expect([r.length, ...[0, 1, 2, 3].map((n) => r.at(n))]).toEqual([
      model.length,
      ...[0, 1, 2, 3].map((n) => model[n]),
    ])
  }
  r.clear()
  expect([r.length, r.shift()]).toEqual([0, undefined])
  await device.close()
})

it('the state has no other properties, and cannot be given any', async () => {
  const driver = every()
  const device = await VfioDevice.open(driver)
  expect(() => Object.assign(driver.state, { typo: 1 })).toThrow(TypeError)
  await device.close()
  expect(() => driver.state).toThrow(expect.objectContaining({ code: 'ENODEV' }))
})

function define(state: Schema, more: object = {}): unknown {
  return defineDevice({ type: 'd', version: 2, state, ...more })
}

describe('a definition is refused with EINVAL', () => {
  it.each<[name: string, create: () => unknown, message: string]>([
    ['since version 0', () => define({ a: u8({ since: 0 }) }), 'a: since version 0, use 1 to 2'],
    [
      'since version 3 of 2',
      () => define({ a: nested({ b: u8({ since: 3 }) }) }),
      'a.b: since version 3, use 1 to 2',
    ],
    ['since 1.5', () => define({ a: u8({ since: 1.5 }) }), 'a: since version 1.5'],
    ['min above max', () => define({ a: u8({ min: 2, max: 1 }) }), 'a: its min 2 is above its max 1'],
    [
      'a max that does not fit',
      () => define({ a: u8({ max: 256 }) }),
      'a: 256 is no value of the field, use 0 to 255',
    ],
    ['a negative min', () => define({ a: u64({ min: -1n }) }), 'a: -1 is no value of the field'],
    ['a fraction', () => define({ a: i8({ max: 0.5 }) }), 'a: 0.5 is no value of the field, use -128 to 127'],
    ['an empty oneOf', () => define({ a: u8({ oneOf: [] }) }), 'a: its oneOf is empty'],
    [
      'a default that does not fit',
      () => define({ a: i8({ default: 128 }) }),
      'a: its default 128 does not fit',
    ],
    [
      'a default above max',
      () => define({ r: repeated(1, { a: u8({ max: 3, default: 4 }) }) }),
      'r[0].a: its constraints do not allow 4',
    ],
    [
      'a power-on value below min',
      () => define({ a: u8({ min: 1 }) }),
      'a: its constraints do not allow 0, the value it has at power-on, set a default',
    ],
    [
      'a power-on value not in oneOf',
      () => define({ a: array(u8({ oneOf: [1, 2] }), 2) }),
      'a: its constraints do not allow 0',
    ],
    ['an array of length 0', () => define({ a: array(u8(), 0) }), 'array length 0 is out of range'],
    ['a ring without slots', () => define({ a: ring(u8(), 0) }), 'ring capacity 0 is out of range'],
    ['a blob of 2^31 bytes', () => define({ a: blob(2 ** 31) }), 'blob length 2147483648 is out of range'],
    ['half a repetition', () => define({ a: repeated(0.5, {}) }), 'repetition 0.5 is out of range'],
    ['an empty type', () => define({}, { type: '' }), 'its type has 0 bytes of UTF-8'],
    ['a type of 49 bytes', () => define({}, { type: 'x'.repeat(49) }), 'its type has 49 bytes of UTF-8'],
    ['a type with NUL', () => define({}, { type: 'a\0' }), 'without NUL'],
    ['version 0', () => define({}, { version: 0 }), 'version 0 is out of range'],
    ['version 2^32', () => define({}, { version: 2 ** 32 }), 'version 4294967296 is out of range'],
    [
      'half a byte of memory',
      () => define({}, { memory: { m: { byteLength: 0.5 } } }),
      'memory "m" has 0.5 bytes',
    ],
    ['a number for a field', () => define({ a: 1 as never }), 'a: it is no field, use one such as u8()'],
    ['nothing for a field', () => define({ a: null as never }), 'a: it is no field, use one such as u8()'],
    [
      'memory above 4 GiB',
      () => define({}, { memory: { m: { byteLength: 2 ** 32 + 1 } } }),
      'its memory passes 4294967296 bytes',
    ],
    [
      '65 regions',
      () =>
        define(
          {},
          { memory: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`m${i}`, { byteLength: 0 }])) },
        ),
      'or 64 regions',
    ],
    [
      'an option named state.x',
      () => define({}, { configuration: { 'state.x': 1 } }),
      'option "state.x" has a reserved name',
    ],
    [
      'an option named memory.x',
      () => define({}, { configuration: { 'memory.x': 1 } }),
      'option "memory.x" has a reserved name',
    ],
    ['an option of -1', () => define({}, { configuration: { x: -1 } }), '"x" is -1'],
  ])('%s', (_, create, message) => {
    expect(create).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining(message) as string }),
    )
  })

  it('but constraints at the edges of a width are not', () => {
    expect(
      define({
        a: u8({ min: 0, max: 255 }),
        b: i64({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        c: u8({ min: 1, max: 1, default: 1 }),
      }),
    ).toBeDefined()
  })
})
