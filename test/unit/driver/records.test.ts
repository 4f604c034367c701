import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import {
  array,
  blob,
  bool,
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
import { loadProgram } from '../../../src/driver/layout-program.ts'
import { compileLayout, packedBytes } from '../../../src/driver/layout.ts'
import { createEngine } from '../../../src/engine/index.ts'
import {
  createRecords,
  readRecord,
  RECORD_BYTES,
  RECORD_FIELDS,
  recordSchema,
  STRIDE,
  writeRecord,
} from '../../../bench/data/records.mjs'
import { hex } from '../../support/hex.ts'
import { refusal, restoreOpen, save, saveOpen, stateOf, testEngine, withState } from './session-io.ts'

const small = (state: Schema) => defineDevice({ type: 'records', version: 1, engine: testEngine, state })

describe('100,000 records of 256 bytes', () => {
  const COUNT = 100_000
  const define = () => defineDevice({ type: 'queues', version: 1, state: recordSchema(COUNT) })

  it('are saved and restored, and a bad value is told by its record', async () => {
    const source = define()
    const device = await VfioDevice.open(source)
    const { queues } = source.state
    expect(queues.length).toBe(COUNT)
    expect(queues.every(({ weight }) => weight === 1)).toBe(true)
    for (const [index, queue] of queues.entries()) queue.rxBytes = BigInt(index) << 20n
    const odd = queues[99_999]!
    odd.mac.set([1, 2, 3, 4, 5, 6])
    odd.table[15] = 0xfff
    odd.ring[7]!.flags = 9
    const stream = await saveOpen(device)
    expect(source.engine.memoryBytes, 'an engine of its own').toBeGreaterThan(COUNT * STRIDE)
    await device.close()

    const packed = stateOf(stream)
    expect(packed.length).toBe(COUNT * RECORD_BYTES)
    const view = new DataView(packed.buffer, packed.byteOffset, packed.length)
    const record = createRecords(1)[0]!
    expect(readRecord(view, 99_999 * RECORD_BYTES, record)).toBe(true)
    expect([...record.mac, record.table[15], record.flags[7]]).toEqual([1, 2, 3, 4, 5, 6, 0xfff, 9])

    const target = define()
    const restored = await VfioDevice.open(target)
    await restoreOpen(restored, stream)
    expect(target.state.queues.every(({ rxBytes }, n) => rxBytes === BigInt(n) << 20n)).toBe(true)
    expect(target.state.queues[99_999]!.ring[7]!.flags).toBe(9)
    await restored.close()
  }, 30_000)

  it('have a program as long as that of two', () => {
    const layouts = [2, COUNT].map((count) => compileLayout(recordSchema(count), 1))
    const programs = layouts.map((layout) => loadProgram(testEngine, layout, 1))
    expect(programs[0]?.byteLength).toBe(programs[1]?.byteLength)
    expect(programs[1]?.byteLength).toBeLessThan(1024)
    for (const { pointer } of programs) testEngine.free(pointer)
  })
})

it('the layout program writes the bytes that code by hand writes', async () => {
  const count = 100
  const driver = small(recordSchema(count))
  const state = driver as unknown as ReturnType<typeof defineDevice<ReturnType<typeof recordSchema>>>
  const expected = new Uint8Array(count * RECORD_BYTES)
  const view = new DataView(expected.buffer)
  const stream = await save(driver, () => {
    for (const [n, record] of createRecords(count).entries()) {
      const { linkUp, mac, counters, registers, table, addresses, lengths, flags, ...numbers } = record
      const queue = state.state.queues[n]!
      Object.assign(queue, numbers)
      queue.linkUp = linkUp === 1
      const [rxPackets, txPackets, rxBytes, txBytes] = new BigUint64Array(counters.buffer)
      Object.assign(queue, { rxPackets, txPackets, rxBytes, txBytes })
      queue.mac.set(mac)
      queue.registers.set([...registers] as never)
      queue.table.set([...table] as never)
      for (const [i, address] of new BigUint64Array(addresses.buffer).entries())
        Object.assign(queue.ring[i]!, { address, length: lengths[i], flags: flags[i] })
      writeRecord(view, n * RECORD_BYTES, record)
    }
  })
  expect(hex(stateOf(stream))).toBe(hex(expected))
})

const level = (max: number) => u8({ max, default: 1 })

describe('records', () => {
  it('are told by their indices when one is refused, however deep', async () => {
    const state = {
      head: u16(),
      a: repeated(3, {
        x: level(5),
        b: repeated(2, {
          y: level(6),
          c: repeated(4, { z: array(level(7), 3), w: u8({ oneOf: [1, 9], default: 1 }) }),
        }),
      }),
    }
    const stream = await save(small(state))
    const bRecord = 1 + 4 * 4
    const aRecord = 1 + 2 * bRecord
    const at = (a: number, b: number, c: number): number => 2 + a * aRecord + 1 + b * bRecord + 1 + c * 4
    const reason = async (offset: number, value: number): Promise<string> => {
      const packed = stateOf(stream).slice()
      packed[offset] = value
      const error = await refusal(small(state), withState(stream, packed))
      return error.message.replace('Cannot load device state: ', '').replace(/, reset the device.*/, '')
    }
    expect(await reason(2 + 2 * aRecord, 6)).toBe('a[2].x is out of range')
    expect(await reason(2 + aRecord + 1 + bRecord, 7)).toBe('a[1].b[1].y is out of range')
    expect(await reason(at(2, 1, 3) + 2, 8)).toBe('a[2].b[1].c[3].z is out of range')
    expect(await reason(at(0, 1, 2) + 3, 5)).toBe('a[0].b[1].c[2].w is 5, not one of 1, 9')
  })

  it('keep their fields apart when a version lacks some', () => {
    const fields = { a: u8(), b: u32({ since: 2 }), c: repeated(2, { d: u16({ since: 2 }), e: u8() }) }
    const layout = compileLayout({ r: repeated(7, fields), late: repeated(3, { x: u64({ since: 2 }) }) }, 2)
    expect(packedBytes(layout.parts, 1)).toBe(7 * (1 + 2))
    expect(packedBytes(layout.parts, 2)).toBe(7 * (1 + 4 + 2 * 3) + 24)
  })

  it('stand as far apart as their stride says, and the stream does not show it', async () => {
    const fields = { a: u8({ default: 1 }), b: u32({ default: 2 }) }
    const wide = small({ r: repeated(3, fields, { stride: 64 }), end: u8({ default: 3 }) })
    const device = await VfioDevice.open(wide)
    const { r } = wide.state as unknown as { r: { a: number; b: number }[] }
    expect(r.map(({ a, b }) => [a, b])).toEqual([1, 2, 3].map(() => [1, 2]))
    const stream = await saveOpen(device)
    await device.close()
    const narrow = small({ r: repeated(3, fields), end: u8({ default: 3 }) })
    expect(hex(stream)).toBe(hex(await save(narrow)))
    expect(compileLayout({ r: repeated(3, fields, { stride: 64 }) }, 1).liveBytes).toBe(192)
  })

  it.each([7, 10, 0, -8, 8.5, Number.NaN])('of stride %d for 8 bytes of alignment 4 are EINVAL', (stride) => {
    const schema = { r: repeated(2, { a: u8(), b: u32() }, { stride }) }
    expect(() => small(schema)).toThrow(
      expect.objectContaining({
        code: 'EINVAL',
        message: `Cannot define state: r: its stride is ${stride}, use a multiple of 4 from 8`,
      }),
    )
  })

  it('share their properties and cannot be given others; what they hold is made once', async () => {
    const driver = defineDevice({
      type: 'r',
      version: 1,
      engine: testEngine,
      state: {
        r: repeated(2, {
          raw: blob(2),
          q: ring(u8(), 2),
          n: nested({ x: u8(), deep: repeated(2, { y: u8() }) }),
        }),
        one: nested({ x: u8({ default: 7 }) }),
      },
    })
    const device = await VfioDevice.open(driver)
    const { r, one } = driver.state
    const [first, second] = r as [(typeof r)[0], (typeof r)[0]]
    expect(first.raw).toBe(first.raw)
    expect(first.n).toBe(first.n)
    expect(first.n.deep[1]).toBe(first.n.deep[1])
    expect(first.raw).not.toBe(second.raw)
    second.n.deep[1]!.y = 5
    second.q.push(6)
    expect([first.n.deep[1]!.y, second.n.deep[1]!.y, first.q.length, second.q.length]).toEqual([0, 5, 0, 1])
    for (const record of [first, first.n, first.n.deep[0], one])
      expect(() => Object.assign(record as object, { typo: 1 })).toThrow(TypeError)
    expect({ ...one }).toEqual({ x: 7 })
    await device.close()
  })
})

describe('big endian on the wire', () => {
  const BIG = { endian: 'big' } as const

  it('turns numbers, arrays and rings around, and live state not', async () => {
    const state = {
      a: u16({ ...BIG, default: 0x1122 }),
      b: u32({ ...BIG, default: 0x11223344 }),
      c: u64({ ...BIG, default: 0x1122334455667788n }),
      d: u8({ ...BIG, default: 9 }),
      e: array(u16({ ...BIG, default: 0x0102 }), 9),
      f: ring(u32(BIG), 2),
      g: repeated(2, { h: u16({ ...BIG, default: 0xabcd }), i: bool() }),
    }
    const driver = defineDevice({ type: 'b', version: 1, engine: testEngine, state })
    const stream = await save(driver, () => {
      driver.state.f.push(5)
      driver.state.e[8] = 0x0304
    })
    const words = '01 02 '.repeat(8)
    expect(hex(stateOf(stream))).toBe(
      `11 22 11 22 33 44 11 22 33 44 55 66 77 88 09 ${words}03 04 ` +
        '00 00 00 00 01 00 00 00 00 00 00 05 00 00 00 00 ab cd 00 ab cd 00',
    )
    const device = await VfioDevice.open(driver)
    await restoreOpen(device, stream)
    expect([driver.state.e[8], driver.state.f.at(0), driver.state.g[1]!.h]).toEqual([0x0304, 5, 0xabcd])
    await device.close()
  })

  it('is checked in the order of the wire', async () => {
    const state = { a: u16({ ...BIG, max: 0x0100 }), b: array(u16({ ...BIG, oneOf: [0, 0x0203] }), 10) }
    const stream = await save(small(state))
    const packed = stateOf(stream)
    packed.set([0x01, 0x00], 0)
    packed.set([0x02, 0x03], 20)
    const device = await VfioDevice.open(small(state))
    await restoreOpen(device, withState(stream, packed))
    await device.close()
    packed.set([0x01, 0x01], 0)
    expect((await refusal(small(state), withState(stream, packed))).message).toContain('a is out of range')
    packed.set([0, 0], 0)
    packed.set([0x03, 0x02], 20)
    const { message } = await refusal(small(state), withState(stream, packed))
    expect(message).toContain('b is 770, not one of 0, 515')
  })

  it('is another layout than little endian, and no other word is one', async () => {
    const little = await save(small({ a: u16() }))
    expect((await refusal(small({ a: u16(BIG) }), little)).message).toContain('state.layout')
    expect(() => small({ a: u16({ endian: 'middle' as never }) })).toThrow(
      "its endian is middle, use 'little' or 'big'",
    )
  })
})

const fill = (driver: { state: { r: readonly { id: number; w: ArrayLike<number> }[] } }) => () => {
  for (const [n, record] of driver.state.r.entries()) record.id = (record.w as Uint32Array)[3] = n
}

it('the reference engine saves and restores the same', async () => {
  const engine = await createEngine({ memoryBytes: 1024 * 1024, variant: 'reference' })
  const state = { r: repeated(20, { ...RECORD_FIELDS, w: array(u32({ endian: 'big' }), 5) }) }
  const define = (on: typeof engine) => defineDevice({ type: 'records', version: 1, engine: on, state })
  const [a, b] = [define(testEngine), define(engine)]
  const stream = await save(a, fill(a))
  expect(hex(await save(b, fill(b)))).toBe(hex(stream))
  const device = await VfioDevice.open(b)
  await restoreOpen(device, stream)
  expect(b.state.r.map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, n) => n))
  await device.close()
})
