/** The PC of the demo, headless. It uses the package's public names, so these tests need a build. */

import { existsSync, readFileSync } from 'node:fs'
import { type DataSession, DeviceState, migrate, restore, save, VfioDevice, VfioError } from 'stopcopy'
import type { V86 } from 'v86'
import { afterEach, describe, expect, it } from 'vitest'
import { internalsOf } from '../../../demo/devices/v86/internals.ts'
import { createV86Machine, V86_VERSION } from '../../../demo/devices/v86/index.ts'
import { TOLD_TICK_ADDRESS } from '../../../demo/devices/v86/guest/boot-sector.ts'
import { type OpenMachine, openMachine, Serial, sha256, V86_WASM } from '../../support/v86-machine.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, ERROR } = DeviceState
const SEABIOS = '/usr/share/seabios'

const open: OpenMachine[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((each) => each.close()))
})

async function start(serial: Serial, options: Parameters<typeof openMachine>[0] = {}): Promise<OpenMachine> {
  const opened = await openMachine({ onSerial: serial.take, ...options })
  open.push(opened)
  return opened
}

/** A machine that waits for the content of another. */
async function prepare(
  serial: Serial,
  options: Parameters<typeof openMachine>[0] = {},
): Promise<OpenMachine> {
  const quiet = new Serial()
  let isThere = false
  const opened = await openMachine({
    onSerial: (byte) => (isThere ? serial : quiet).take(byte),
    ...options,
  })
  open.push(opened)
  await opened.device.setState(STOP)
  isThere = true
  return opened
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1)

function readAll(session: DataSession): Uint8Array {
  const chunks: Uint8Array[] = []
  const buffer = new Uint8Array(1 << 20)
  for (let n; (n = session.read(buffer)) > 0;) chunks.push(buffer.slice(0, n))
  return Buffer.concat(chunks)
}

// Where they stand in v86's state.
const LAST_VIRTUAL_EIP = 18
const LAST_PHYSICAL_EIP = 19
const TIME_STAMP_COUNTER = 43

/** A device state taken apart. */
interface StateParts {
  readonly values: readonly unknown[]
  readonly buffers: readonly Uint8Array[]
}

function partsOf(state: Uint8Array): StateParts {
  const infoBytes = new DataView(state.buffer, state.byteOffset).getUint32(12, true)
  const info = JSON.parse(new TextDecoder().decode(state.subarray(16, 16 + infoBytes))) as {
    state: unknown[]
    buffer_infos: { offset: number; length: number }[]
  }
  return {
    values: info.state,
    buffers: info.buffer_infos.map(({ offset, length }) => state.slice(offset, offset + length)),
  }
}

const same = (a: Uint8Array, b: Uint8Array | undefined): boolean =>
  b !== undefined && a.length === b.length && a.every((byte, at) => byte === b[at])

/** The tick that the bits in the top row of the picture tell. */
function tickOfPicture(machine: OpenMachine['machine']): number {
  const frame = machine.frame()
  if (frame?.kind !== 'graphics') throw new Error('the machine shows no picture')
  const pixels = new Uint32Array(frame.pixels.buffer)
  const background = pixels.subarray(0, 320)
  // The highest bits are 0.
  const zero = background[0]
  return upTo(32).reduce((tick, n) => tick * 2 + (background[(n - 1) * 10 + 5] === zero ? 0 : 1), 0)
}

describe('the boot-sector machine', () => {
  it('needs no BIOS, draws a picture and tells its ticks', async () => {
    const serial = new Serial()
    const { machine, device } = await start(serial)
    await serial.more(20)
    expect(await device.state()).toBe(RUNNING)
    await device.setState(STOP)
    expect(serial.ticks).toEqual(upTo(serial.ticks.length))
    const frame = machine.frame()
    expect(frame).toMatchObject({ kind: 'graphics', width: 320, height: 200 })
    if (frame?.kind !== 'graphics') throw new Error('no picture')
    expect(new Set(new Uint32Array(frame.pixels.buffer)).size).toBeGreaterThan(100)
    const told = new DataView(machine.ram.buffer, machine.ram.byteOffset).getUint32(TOLD_TICK_ADDRESS, true)
    expect(Math.abs(told - tickOfPicture(machine))).toBeLessThan(2)
  })

  it('stops at once and changes nothing while it is stopped', async () => {
    const serial = new Serial()
    const { machine, device } = await start(serial)
    await serial.more(3)
    await device.setState(STOP)
    const [before, said] = [sha256(machine.ram), serial.text]
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(sha256(machine.ram)).toBe(before)
    expect(serial.text).toBe(said)
    await device.setState(RUNNING)
    await serial.more(3)
    expect(serial.ticks).toEqual(upTo(serial.ticks.length))
  })

  it('takes keys', async () => {
    const serial = new Serial()
    const { machine, device } = await start(serial)
    await serial.more(2)
    const hue = machine.ram[0x508]
    machine.sendScancodes([0x1e, 0x9e])
    await serial.more(4)
    await device.setState(STOP)
    expect(machine.ram[0x508]).toBe((hue ?? 0) + 0x1e)
  })

  it('walks live five times between two emulators: no tick lost or told twice, RAM and picture equal', async () => {
    const serial = new Serial()
    const pair = [await start(serial), await prepare(serial)] as const
    const sizes: number[][] = []
    for (let round = 0; round < 5; round++) {
      const [source, target] = [pair[round % 2] as OpenMachine, pair[(round + 1) % 2] as OpenMachine]
      await serial.more(12)
      const seen: { ram: boolean; picture: boolean }[] = []
      target.beforeRun = () =>
        seen.push({
          ram: sha256(source.machine.ram) === sha256(target.machine.ram),
          picture: JSON.stringify(source.machine.frame()) === JSON.stringify(target.machine.frame()),
        })
      const report = await migrate(source.device, target.device, {})
      expect(seen).toEqual([{ ram: true, picture: true }])
      expect(report.iterations.length).toBeGreaterThan(0)
      expect(await source.device.state()).toBe(STOP)
      target.beforeRun = () => {}
      sizes.push(pair.map(({ machine }) => machine.ram.buffer.byteLength))
    }
    await serial.more(12)
    expect(serial.ticks.length).toBeGreaterThan(70)
    expect(serial.ticks).toEqual(upTo(serial.ticks.length))
    // Tables are used again: after both were source and target once, nothing more is taken.
    expect(sizes.slice(2)).toEqual([sizes[1], sizes[1], sizes[1]])
  })

  it('arrives as the same machine: all device state but the clock, the MAC address among it', async () => {
    const serial = new Serial()
    const [source, target] = [await start(serial), await prepare(serial)]
    await serial.more(5)
    const stream = readAll((await source.device.setState(STOP_COPY)) as DataSession)
    const session = (await target.device.setState(RESUMING)) as DataSession
    session.write(stream)
    await target.device.setState(STOP)
    await target.device.setState(STOP_COPY)
    const [left, right] = [source, target].map(({ machine }) => {
      const { state, memory } = machine.driver
      return partsOf(memory.rest.bytes.slice(0, state.stateBytes))
    }) as [StateParts, StateParts]
    // v86 finds the present instruction's page anew, and its time stamp counter runs by the host's clock.
    const derived = [LAST_VIRTUAL_EIP, LAST_PHYSICAL_EIP]
    const settled = ({ values }: StateParts): unknown[] =>
      values.filter((_value, at) => !derived.includes(at))
    expect(settled(right)).toEqual(settled(left))
    const clock = (left.values[TIME_STAMP_COUNTER] as { buffer_id: number }).buffer_id
    const different = left.buffers.flatMap((bytes, id) => (same(bytes, right.buffers[id]) ? [] : [id]))
    expect(different.filter((id) => id !== clock)).toEqual([])
    expect(left.buffers.length).toBeGreaterThan(30)
  })

  it('captured again, keeps what did not change in its place', async () => {
    const serial = new Serial()
    const { machine, device } = await start(serial)
    const { driver } = machine
    const capture = async (): Promise<Uint8Array> => {
      await serial.more(5)
      await device.setState(STOP_COPY)
      const state = driver.memory.rest.bytes.slice(0, driver.state.stateBytes)
      await device.setState(RUNNING)
      return state
    }
    const states = [await capture(), await capture(), await capture()]
    const places = states.map((state) => partsOf(state).buffers.map(({ length }) => length))
    expect(new Set(states.map(({ length }) => length)).size).toBe(1)
    expect(places[1]).toEqual(places[0])
    // The picture, which the guest paints, the registers and little else.
    const pages = Math.ceil((states[1] as Uint8Array).length / 4096)
    const changed = Array.from({ length: pages }, (_, n) => n).filter((n) => {
      const [before, after] = [states[1], states[2]].map((state) => state?.subarray(n * 4096, (n + 1) * 4096))
      return !same(before as Uint8Array, after)
    })
    expect(changed.length).toBeGreaterThan(0)
    expect(changed.length).toBeLessThan(80)
    expect(pages).toBeGreaterThan(150)
  })

  it('a damaged stream is refused, and the source still runs', async () => {
    const serial = new Serial()
    const [source, target] = [await start(serial), await prepare(serial)]
    await serial.more(5)
    const stream = readAll((await source.device.setState(STOP_COPY)) as DataSession)
    stream[stream.length >> 1]! ^= 0x10
    const session = (await target.device.setState(RESUMING)) as DataSession
    expect(() => session.write(stream)).toThrow(/checksum does not match/)
    await expect(target.device.setState(STOP)).rejects.toMatchObject({ code: 'EINVAL' })
    await target.device.reset()
    await target.device.setState(STOP)
    await source.device.setState(RUNNING)
    const before = serial.ticks.length
    await serial.more(5)
    expect(serial.ticks.slice(0, before + 4)).toEqual(upTo(before + 4))
  })

  it.each([
    ['cut short', (rest: Uint8Array) => rest.fill(0, 0, 8), /no v86 state/],
    ['of another version', (rest: Uint8Array) => rest.fill(7, 4, 5), /version 7/],
    ['of lengths that do not match', (rest: Uint8Array) => rest.fill(1, 8, 9), /lengths/],
    ['whose JSON is none', (rest: Uint8Array) => rest.fill(0x7b, 16, 40), /not readable/],
  ])('device state %s is refused, whatever its checksum', async (_, damage, reason) => {
    const serial = new Serial()
    const [source, target] = [await start(serial), await prepare(serial)]
    const { driver } = source.machine
    await source.device.setState(STOP)
    // Damaged between capture and send.
    const transition = driver.transition.bind(driver)
    driver.transition = async (from, to, options) => {
      const end = await transition(from, to, options)
      if (to === STOP_COPY) damage(driver.memory.rest.bytes)
      return end
    }
    const stream = readAll((await source.device.setState(STOP_COPY)) as DataSession)
    const session = (await target.device.setState(RESUMING)) as DataSession
    session.write(stream)
    await expect(target.device.setState(STOP)).rejects.toThrow(reason)
    expect(await target.device.state()).toBe(RESUMING)
  })

  it('is saved to bytes and goes on elsewhere', async () => {
    const serial = new Serial()
    const [source, target] = [await start(serial), await prepare(serial)]
    await serial.more(7)
    const chunks: Uint8Array[] = []
    await save(
      source.device,
      new WritableStream({ write: (chunk: Uint8Array) => void chunks.push(chunk.slice()) }),
      {},
    )
    const saved = new Blob(chunks as BlobPart[])
    await restore(target.device, saved.stream(), {})
    await target.device.setState(RUNNING)
    await serial.more(7)
    expect(serial.ticks).toEqual(upTo(serial.ticks.length))
  })

  it('a machine of another size is refused by name', async () => {
    const serial = new Serial()
    const [source, target] = [await start(serial), await prepare(serial, { memoryBytes: 32 << 20 })]
    const before = serial.text.length
    await expect(migrate(source.device, target.device, {})).rejects.toThrow(/memory\.0\.bytes/)
    expect(await source.device.state()).toBe(RUNNING)
    await serial.more(3)
    expect(serial.text.length).toBeGreaterThan(before)
  })

  it('a reset is a power cycle', async () => {
    const serial = new Serial()
    const { machine, device } = await start(serial)
    await serial.more(9)
    const before = serial.text.length
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
    await serial.more(9)
    await device.setState(STOP)
    const after = serial.text.slice(before)
    expect(after.slice(after.indexOf('00000001\n'))).toMatch(/^00000001\n00000002\n00000003\n/)
    expect(machine.frame()).toMatchObject({ kind: 'graphics' })
  })

  it('without a disk is reset, too', async () => {
    const serial = new Serial()
    const { device } = await start(serial, { cdrom: new Uint8Array(20 * 2048) })
    await device.reset()
    expect(await device.state()).toBe(RUNNING)
  })

  it('whose emulator fails says so, and runs again after a reset', async () => {
    const serial = new Serial()
    let isBroken = false
    let failure: unknown
    const { device } = await start(serial, {
      onSerial: (byte) => {
        if (isBroken) throw new Error('out of order')
        serial.take(byte)
      },
      onFailure: (cause) => {
        failure = cause
        isBroken = false
      },
    })
    await serial.more(2)
    isBroken = true
    await expect.poll(() => failure).toBeInstanceOf(Error)
    await expect(device.setState(STOP_COPY)).rejects.toMatchObject({ code: 'EIO' })
    expect(await device.state()).toBe(ERROR)
    await device.reset()
    await serial.more(3)
    expect(await device.state()).toBe(RUNNING)
  })
})

describe('createV86Machine() refuses', () => {
  it('another v86, by the names of what it lacks', () => {
    let failure: unknown
    try {
      internalsOf({ v86: { cpu: {} } } as unknown as V86)
    } catch (error) {
      failure = error
    }
    expect(VfioError.is(failure, 'EOPNOTSUPP')).toBe(true)
    expect((failure as Error).message).toContain(V86_VERSION)
    expect((failure as Error).message).toContain('v86.cpu.pack_memory')
  })

  it('the installed version is the one that is known', () => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../../node_modules/v86/package.json', import.meta.url), 'utf8'),
    ) as { version: string }
    expect(version.split('+')[0]).toBe(V86_VERSION)
  })

  it.each([
    ['RAM of no power of two', { memoryBytes: 3 << 20 }, 'EINVAL' as const, /power of two/],
    ['a boot sector without signature', { bootSector: new Uint8Array(512) }, 'EINVAL' as const, /55 AA/],
    ['a v86.wasm that is none', { wasm: new Uint8Array(8) }, 'EIO' as const, /wasm option/],
  ])('%s', async (_, options, code, reason) => {
    const failure = await createV86Machine({ wasm: V86_WASM, ...options }).catch((error: unknown) => error)
    expect(VfioError.is(failure, code)).toBe(true)
    expect((failure as Error).message).toMatch(reason)
  })
})

it('the guest boots from SeaBIOS as from our own BIOS, and moves', async () => {
  if (!existsSync(`${SEABIOS}/bios.bin`))
    throw new Error(
      `${SEABIOS}/bios.bin is not there: install Debian's package seabios (apt-get install seabios)`,
    )
  const image = (name: string): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(`${SEABIOS}/${name}`))
  const options = { bios: image('bios.bin'), vgaBios: image('vgabios-stdvga.bin'), memoryBytes: 32 << 20 }
  const serial = new Serial()
  const [source, target] = [await start(serial, options), await prepare(serial, options)]
  await serial.more(10)
  const begin = serial.text.indexOf('00000001\n')
  let equal = false
  target.beforeRun = () => {
    equal = sha256(source.machine.ram) === sha256(target.machine.ram)
  }
  await migrate(source.device, target.device, {})
  expect(equal).toBe(true)
  await serial.more(10)
  const told = serial.text.slice(begin).split('\n').slice(0, -1)
  expect(told.map((line) => Number.parseInt(line, 16))).toEqual(upTo(told.length))
})

it('the device opens again after it was closed', async () => {
  const serial = new Serial()
  const { machine, device } = await openMachine({ onSerial: serial.take })
  await serial.more(3)
  await device.close()
  const begin = serial.text.length
  const again = await VfioDevice.open(machine.driver)
  await serial.more(4)
  expect(serial.text.slice(begin)).toContain('00000001\n00000002\n')
  await again.close()
  await machine.destroy()
})
