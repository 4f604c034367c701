import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import {
  array,
  defineDevice,
  nested,
  repeated,
  ring,
  type Schema,
  u16,
  u32,
  u64,
  u8,
} from '../../../src/driver/index.ts'
import { OPAQUE_STREAM, putTogether, TAG, takeApart } from '../../support/stream-builder.ts'
import { refusal, restoreOpen, save, testEngine } from './session-io.ts'

interface Options {
  type?: string
  version?: number
  configuration?: Record<string, number | string | boolean | bigint>
  memory?: Record<string, { byteLength: number }>
}

const define = <S extends Schema>(state: S, { type = 'skew', version = 1, ...rest }: Options = {}) =>
  defineDevice({ type, version, engine: testEngine, state, ...rest })

const V1 = { a: u8(), table: array(u16(), 2), unit: repeated(2, { x: u8() }) }
const V2 = {
  a: u8(),
  early: u32({ since: 2, default: 0xdead }),
  table: array(u16(), 2),
  unit: repeated(2, { y: u8({ since: 2, default: 8, min: 5, max: 9 }), x: u8() }),
  late: nested({ z: u64({ default: 6n }) }, { since: 2 }),
  list: array(u8({ default: 3 }), 2, { since: 2 }),
  words: array(u16({ since: 2, default: 4 }), 1),
  queue: ring(u8(), 2, { since: 2 }),
}
const V3 = { ...V2, newest: u8({ since: 3, oneOf: [1, 2], default: 2 }) }

describe('a stream of version 1', () => {
  it.each([
    [2, V2],
    [3, V3],
  ] as const)('loads into version %i: new fields have their defaults', async (version, schema) => {
    const source = define(V1)
    const stream = await save(source, () => {
      source.state.a = 1
      source.state.table.set([0x1111, 0x2222] as never)
      source.state.unit[1]!.x = 77
    })
    const driver = define(schema as typeof V3, { version })
    const device = await VfioDevice.open(driver)
    const before = testEngine.allocatedBytes
    // What the device had before does not shine through.
    driver.state.early = 5
    driver.state.list[0] = 5
    await restoreOpen(device, stream)
    const { state } = driver
    expect(state).toMatchObject({
      a: 1,
      early: 0xdead,
      unit: [
        { x: 0, y: 8 },
        { x: 77, y: 8 },
      ],
      late: { z: 6n },
    })
    expect([...(state.table as Uint16Array)]).toEqual([0x1111, 0x2222])
    expect([...(state.list as Uint8Array), ...(state.words as Uint16Array)]).toEqual([3, 3, 4])
    expect(state.queue.length).toBe(0)
    if (version === 3) expect(state.newest).toBe(2)
    expect(testEngine.allocatedBytes).toBe(before)
    await device.close()
  })

  it('is of another device when version 2 has changed what version 1 was', async () => {
    const stream = await save(define(V1))
    const error = await refusal(define({ ...V2, a: u8({ since: 2 }), b: u8() }, { version: 2 }), stream)
    expect(error).toMatchObject({ code: 'EINVAL' })
    expect(error.message).toMatch(
      /section 0 \(CONFIG\) at offset 128: state.layout is \d+ here and \d+ in the stream/,
    )
  })
})

it('a stream of a newer version is refused by its number', async () => {
  const stream = await save(define(V3, { version: 3 }))
  expect(await refusal(define(V2, { version: 2 }), stream)).toMatchObject({
    code: 'EOPNOTSUPP',
    section: 'the stream header',
    message:
      'Cannot read migration stream: the stream header at offset 0: device version 3 is not one of 1 to 2 that this device loads, use a newer release of the device',
  })
})

it('version 0, which no device has, is refused', async () => {
  const { header, sections } = takeApart(await save(define(V1)))
  expect(await refusal(define(V1), putTogether({ ...header, deviceVersion: 0 }, sections))).toMatchObject({
    code: 'EOPNOTSUPP',
  })
})

describe('the same version with another layout is refused', () => {
  it.each<[name: string, schema: Schema, message: RegExp]>([
    [
      'a signed field for an unsigned one',
      { a: u8(), table: array(u16(), 2), other: repeated(2, { x: u8() }) },
      /state.layout is \d+ here and \d+ in the stream/,
    ],
    [
      'fields in another order',
      { table: array(u16(), 2), a: u8(), unit: repeated(2, { x: u8() }) },
      /state.layout is \d+ here and \d+ in the stream/,
    ],
    ['more of them', { ...V1, b: u8() }, /state.bytes is 8 here and 7 in the stream/],
  ])('%s', async (_, schema, message) => {
    const error = await refusal(define(schema), await save(define(V1)))
    expect(error.code).toBe('EINVAL')
    expect(error.message).toMatch(message)
    expect(error.message).toContain('open the device with the same options')
  })
})

describe('a difference is named, wanted and found', () => {
  const memory = { ram: { byteLength: 4096 } }
  it.each<[name: string, here: Options, there: Options, message: string]>([
    [
      'another option',
      { configuration: { ports: 2 } },
      { configuration: { ports: 1 } },
      'ports is 2 here and 1 in the stream',
    ],
    ['an option more', { configuration: { dma: true } }, {}, 'dma is true here and absent in the stream'],
    [
      'an option less',
      {},
      { configuration: { mode: 'fast' } },
      'mode is absent here and "fast" in the stream',
    ],
    [
      'a large option',
      { configuration: { id: 2n ** 63n } },
      { configuration: { id: 2n ** 63n + 1n } },
      'id is 9223372036854775808 here and 9223372036854775809 in the stream',
    ],
    [
      'more memory',
      { memory },
      { memory: { ram: { byteLength: 4095 } } },
      'memory.0.bytes is 4096 here and 4095 in the stream',
    ],
    [
      'a region of another name',
      { memory },
      { memory: { vram: { byteLength: 4096 } } },
      'memory.0.name is "ram" here and "vram" in the stream',
    ],
    ['no memory', {}, { memory }, 'memory.0.bytes is absent here and 4096 in the stream'],
    ['another type', { type: 'this' }, { type: 'that' }, 'it holds a "that", this device is a "this"'],
  ])('%s', async (_, here, there, message) => {
    const error = await refusal(define(V1, here), await save(define(V1, there)))
    expect(error.code).toBe('EINVAL')
    expect(error.message).toContain(`: ${message}, `)
  })

  it('an opaque stream', async () => {
    const { header, sections } = takeApart(await save(define(V1)))
    const opaque = putTogether(
      { ...header, flags: OPAQUE_STREAM },
      sections.filter(({ tag }) => tag === TAG.CONFIG),
    )
    const error = await refusal(define(V1), opaque)
    expect(error).toMatchObject({ code: 'EINVAL', section: 'the stream header' })
    expect(error.message).toContain('it holds the stream of an opaque device')
  })
})
