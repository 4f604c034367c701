import { expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { array, defineDevice, ring, u32, u8 } from '../../../src/driver/index.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf } from '../../support/pending.ts'
import { refusal, save, testEngine } from './session-io.ts'

const { STOP, RUNNING, STOP_COPY, PRE_COPY, RESUMING } = DeviceState
const BYTES = 40 * 4096 + 99

/** A device whose power-on content is no zeros: every fifth page has a byte, and a register a default. */
const define = () =>
  defineDevice({
    type: 'power-on',
    version: 1,
    engine: testEngine,
    state: {
      mode: u32({ default: 0xabcd }),
      count: u32(),
      table: array(u8({ default: 3 }), 9),
      r: ring(u8(), 4),
    },
    memory: { ram: { byteLength: BYTES }, none: { byteLength: 0 } },
    reset({ state, memory }) {
      state.count = 11
      for (let page = 0; page < 40; page += 5) memory.ram.write(page * 4096 + page, Uint8Array.of(page + 1))
    },
  })

type Device = ReturnType<typeof define>

function contentOf({ state, memory }: Device): string {
  const registers = [state.mode, state.count, ...(state.table as Uint8Array), state.r.length, state.r.at(0)]
  return `${registers.join()} ${Buffer.from(memory.ram.bytes).toString('base64')}`
}

/** Changes every register and every page. */
function dirty({ state, memory }: Device): void {
  Object.assign(state, { mode: 1, count: 2 })
  state.table[4] = 200
  state.r.push(1)
  memory.ram.write(0, new Uint8Array(BYTES).fill(0xdd))
}

async function opened(): Promise<{ driver: Device; device: VfioDevice; powerOn: string }> {
  const driver = define()
  const device = await VfioDevice.open(driver)
  const powerOn = contentOf(driver)
  dirty(driver)
  expect(contentOf(driver)).not.toBe(powerOn)
  return { driver, device, powerOn }
}

const STREAM = await (async () => {
  const source = define()
  return save(source, () => dirty(source))
})()

it.each([
  ['RUNNING', RUNNING],
  ['STOP', STOP],
  ['PRE_COPY', PRE_COPY],
  ['STOP_COPY', STOP_COPY],
])('reset in %s puts everything back, byte for byte', async (_, state) => {
  const { driver, device, powerOn } = await opened()
  await device.setState(state)
  await device.reset()
  expect(contentOf(driver)).toBe(powerOn)
  expect(await device.state()).toBe(RUNNING)
  await device.close()
})

it('entering RESUMING puts everything back before a byte is written', async () => {
  const { driver, device, powerOn } = await opened()
  await device.setState(RESUMING)
  expect(contentOf(driver)).toBe(powerOn)
  await device.close()
})

it('reset after a stream that was loaded in part puts everything back', async () => {
  const { driver, device, powerOn } = await opened()
  for (const length of [
    0,
    1,
    127,
    128,
    300,
    5000,
    70_000,
    STREAM.length - 65,
    STREAM.length - 1,
    STREAM.length,
  ]) {
    const session = await device.setState(RESUMING)
    session?.write(STREAM.subarray(0, length))
    await device.reset()
    expect(contentOf(driver), `${length} bytes`).toBe(powerOn)
  }
  await device.close()
})

it('reset after a stream that was refused puts everything back', async () => {
  const { driver, device, powerOn } = await opened()
  const damaged = STREAM.slice()
  damaged[100_000] = 0
  const session = (await device.setState(RESUMING)) as DataSession
  expect(await codeOf(() => session.write(damaged))).toBe('EBADMSG')
  expect(contentOf(driver)).not.toBe(powerOn)
  expect(await codeOf(() => device.setState(STOP))).toBe('EINVAL')
  expect(await device.state()).toBe(RESUMING)
  await device.reset()
  expect(contentOf(driver)).toBe(powerOn)
  await device.close()
})

it('a stream of zeros clears power-on content', async () => {
  const source = define()
  const stream = await save(source, () => source.memory.ram.write(0, new Uint8Array(BYTES)))
  const { driver, device } = await opened()
  const session = await device.setState(RESUMING)
  session?.write(stream)
  await device.setState(STOP)
  expect(driver.memory.ram.bytes.every((byte) => byte === 0)).toBe(true)
  await device.close()
})

it('a closed device opens again with power-on content, after half a stream too', async () => {
  const { driver, device, powerOn } = await opened()
  const session = await device.setState(RESUMING)
  session?.write(STREAM.subarray(0, 70_000))
  await device.close()
  const again = await VfioDevice.open(driver)
  expect(contentOf(driver)).toBe(powerOn)
  await again.close()
})

it('too few bytes at RESUMING to STOP is EINVAL, and the rest may be written', async () => {
  expect(await refusal(define(), STREAM.subarray(0, STREAM.length - 1))).toMatchObject({ code: 'EINVAL' })
  const { driver, device } = await opened()
  const session = await device.setState(RESUMING)
  session?.write(STREAM.subarray(0, 1000))
  expect(await codeOf(() => device.setState(STOP))).toBe('EINVAL')
  session?.write(STREAM.subarray(1000))
  await device.setState(RUNNING)
  const source = define()
  const other = await VfioDevice.open(source)
  dirty(source)
  expect(contentOf(driver)).toBe(contentOf(source))
  await other.close()
  await device.close()
})
