import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import {
  array,
  bool,
  defineDevice,
  type Field,
  i16,
  i64,
  i8,
  nested,
  repeated,
  ring,
  u16,
  u32,
  u64,
  u8,
} from '../../../src/driver/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { concat } from '../../support/stream-builder.ts'
import { refusal, restoreOpen, save, stateOf, testEngine, withState } from './session-io.ts'

const guard = { before: u8({ default: 0x11 }), after: u8({ default: 0x22 }) }

/** A device with one field between two others. */
const withField = (field: Field) =>
  defineDevice({
    type: 'one',
    version: 1,
    engine: testEngine,
    state: { before: guard.before, field, after: guard.after },
  })

function le(value: bigint, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, i) => Number(BigInt.asUintN(8, value >> BigInt(8 * i))))
}

/** Restores the device with other bytes in its field: 'ok', or the reason of the refusal. */
async function outcome(field: Field, bytes: Uint8Array): Promise<string> {
  const stream = await save(withField(field))
  const state = stateOf(stream)
  const other = concat([state.subarray(0, 1), bytes, state.subarray(state.length - 1)])
  expect(other.length).toBe(state.length)
  const crafted = withState(stream, other)
  const device = await VfioDevice.open(withField(field))
  const accepted = await restoreOpen(device, crafted).then(
    () => true,
    () => false,
  )
  await device.close()
  if (accepted) return 'ok'
  const error = await refusal(withField(field), crafted)
  expect(error.code).toBe('EINVAL')
  return error.message.replace('Cannot load device state: ', '').replace(/, reset the device.*/, '')
}

const RANGE = 'field is out of range'

describe.each<[name: string, field: Field, width: number, least: bigint, greatest: bigint]>([
  ['u8 1..9', u8({ min: 1, max: 9, default: 1 }), 1, 1n, 9n],
  ['u16 256..257', u16({ min: 256, max: 257, default: 256 }), 2, 256n, 257n],
  ['u32 1..2^31', u32({ min: 1, max: 2 ** 31, default: 1 }), 4, 1n, 2n ** 31n],
  ['u64 1..2^63', u64({ min: 1n, max: 2n ** 63n, default: 1n }), 8, 1n, 2n ** 63n],
  ['i8 -5..5', i8({ min: -5, max: 5 }), 1, -5n, 5n],
  ['i16 -300..-2', i16({ min: -300, max: -2, default: -2 }), 2, -300n, -2n],
  ['i64 -2^40..2^40', i64({ min: -(2n ** 40n), max: 2n ** 40n }), 8, -(2n ** 40n), 2n ** 40n],
  ['a boolean', bool(), 1, 0n, 1n],
])('%s', (_, field, width, least, greatest) => {
  const limit = BigInt.asUintN(8 * width, least - 1n)
  it.each([
    ['its least value', least, 'ok'],
    ['its greatest value', greatest, 'ok'],
    ['one below', limit, RANGE],
    ['one above', greatest + 1n, RANGE],
  ])('%s', async (__, value, expected) => {
    expect(await outcome(field, le(value, width))).toBe(expected)
  })
})

it('a minimum alone leaves the greatest value of the width', async () => {
  expect(await outcome(u8({ min: 1, default: 1 }), le(255n, 1))).toBe('ok')
  expect(await outcome(i8({ max: -1, default: -1 }), le(-128n, 1))).toBe('ok')
  expect(await outcome(i8({ max: -1, default: -1 }), le(0n, 1))).toBe(RANGE)
})

it('oneOf allows its values and no neighbour', async () => {
  const field = u16({ oneOf: [0, 0x100] })
  for (const value of [0n, 0x100n]) expect(await outcome(field, le(value, 2))).toBe('ok')
  for (const value of [1n, 0xffn, 0x101n, 0xffffn])
    expect(await outcome(field, le(value, 2))).toBe(`field is ${value}, not one of 0, 256`)
  const signed = i64({ oneOf: [0n, -1n] })
  expect(await outcome(signed, le(-1n, 8))).toBe('ok')
  expect(await outcome(signed, le(-2n, 8))).toBe('field is -2, not one of 0, -1')
})

it('each element of an array is checked', async () => {
  const field = array(u8({ max: 3 }), 4)
  expect(await outcome(field, Uint8Array.of(3, 3, 3, 3))).toBe('ok')
  for (let i = 0; i < 4; i++) {
    const bytes = new Uint8Array(4)
    bytes[i] = 4
    expect(await outcome(field, bytes)).toBe(RANGE)
  }
})

it('ring indices are checked at capacity - 1, capacity and above', async () => {
  const field = ring(u8({ max: 9 }), 3)
  const slots = Uint8Array.of(1, 2, 3)
  const parts = (start: bigint, count: bigint): Uint8Array => concat([le(start, 4), le(count, 4), slots])
  expect(await outcome(field, parts(2n, 3n))).toBe('ok')
  expect(await outcome(field, parts(0n, 0n))).toBe('ok')
  expect(await outcome(field, parts(3n, 0n))).toBe('field.start is out of range')
  expect(await outcome(field, parts(0n, 4n))).toBe('field.count is out of range')
  expect(await outcome(field, parts(0xffff_ffffn, 0n))).toBe('field.start is out of range')
  expect(await outcome(field, concat([new Uint8Array(8), Uint8Array.of(1, 10, 1)]))).toBe(RANGE)
})

it('a refusal names the path through nested and repeated fields', async () => {
  const field = nested({ bank: repeated(3, { level: u8({ max: 1 }), mode: u8({ oneOf: [0, 4] }) }) })
  expect(await outcome(field, Uint8Array.of(1, 4, 1, 0, 0, 0))).toBe('ok')
  expect(await outcome(field, Uint8Array.of(1, 4, 1, 0, 2, 0))).toBe('field.bank[2].level is out of range')
  expect(await outcome(field, Uint8Array.of(1, 4, 1, 5, 0, 0))).toBe(
    'field.bank[1].mode is 5, not one of 0, 4',
  )
})

/** A device that is validated by what its first register holds. */
const pair = (validate: (low: number) => string | undefined | void) =>
  defineDevice({
    type: 'pair',
    version: 1,
    engine: testEngine,
    state: { low: u8({ default: 1 }), high: u8({ default: 2 }) },
    validate: (state) => validate(state.low),
  })

describe('validate', () => {
  it.each<[name: string, validate: () => string, reason: string]>([
    ['returns a reason', () => 'low passes high', 'low passes high'],
    [
      'throws an error',
      () => {
        throw new TypeError('no such mode')
      },
      'no such mode',
    ],
    [
      'throws something else',
      () => {
        throw 'text' as never
      },
      'text',
    ],
  ])(
    'that %s refuses: the state stays RESUMING and the live state as it was',
    async (_, validate, reason) => {
      const source = pair(() => undefined)
      const stream = await save(source, () => {
        source.state.low = 50
      })
      const driver = pair(validate)
      const opened = await VfioDevice.open(driver)
      await expect(restoreOpen(opened, stream)).rejects.toMatchObject({
        code: 'EINVAL',
        state: DeviceState.RESUMING,
        message: `Cannot load device state: ${reason}, reset the device and restore another save`,
      })
      expect(await opened.state()).toBe(DeviceState.RESUMING)
      expect(driver.state).toMatchObject({ low: 1, high: 2 })
      const before = testEngine.allocatedBytes
      await expect(opened.setState(DeviceState.STOP)).rejects.toMatchObject({ code: 'EINVAL' })
      expect(testEngine.allocatedBytes).toBe(before)
      await opened.reset()
      expect(driver.state).toMatchObject({ low: 1, high: 2 })
      await opened.close()
    },
  )

  it('sees the state that was restored, and is not called when a check failed before it', async () => {
    const seen: number[] = []
    const driver = pair((low) => void seen.push(low))
    const stream = await save(driver)
    const opened = await VfioDevice.open(driver)
    await restoreOpen(opened, withState(stream, Uint8Array.of(9, 2)))
    expect(seen).toEqual([9])
    expect(driver.state.low).toBe(9)
    await opened.close()
  })
})
