import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { DirtyLog } from '../../../src/device/dirty-log.ts'
import { VFIO_DEVICE_FEATURE, VFIO_DEVICE_RESET } from '../../../src/uapi/requests.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { GET, PROBE, SET, detach, feature, featureMemory } from '../../support/feature-call.ts'
import { codeOf, deferred } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

const BIT19 = 1 << 19

function fullDevice(): Promise<VfioDevice> {
  return VfioDevice.open(new ScriptedDriver({ dirtyLog: new DirtyLog() }))
}

function plainDevice(): Promise<VfioDevice> {
  return VfioDevice.open(new ScriptedDriver({ flags: 0 }))
}

/** The errno name of one call with a fresh header. */
async function callWith(
  device: VfioDevice,
  flags: number,
  argsz: number,
  byteLength?: number,
): Promise<string> {
  return codeOf(() => feature(device, featureMemory(flags, argsz, byteLength)))
}

// SET of feature 2 asks for state 0 in these buffers: EINVAL from the state machine is the transition.
const MATRIX: [name: string, flags: number, argsz: number, results: [string, string, string]][] = [
  ['none, argsz 16', 0, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['GET, argsz 15', GET, 15, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['GET, argsz 16', GET, 16, ['ok', 'ok', 'ok']],
  ['GET, argsz 4096', GET, 4096, ['ok', 'ok', 'ok']],
  ['SET, argsz 16', SET, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['GET+SET, argsz 16', GET | SET, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['PROBE, argsz 8', PROBE, 8, ['ok', 'ok', 'ok']],
  ['PROBE, argsz 7', PROBE, 7, ['EINVAL', 'EINVAL', 'EINVAL']],
  ['PROBE+GET, argsz 8', PROBE | GET, 8, ['ok', 'ok', 'ok']],
  ['PROBE+SET, argsz 8', PROBE | SET, 8, ['EINVAL', 'ok', 'EINVAL']],
  ['PROBE+GET+SET, argsz 8', PROBE | GET | SET, 8, ['EINVAL', 'ok', 'EINVAL']],
  ['bit 19 + GET, argsz 16', BIT19 | GET, 16, ['EINVAL', 'EINVAL', 'EINVAL']],
]

describe('A.1 matrix through VfioDevice.ioctl', () => {
  const cells = MATRIX.flatMap(([name, flags, argsz, results]) =>
    [1, 2, 9].map((index, i) => ({ name, flags, argsz, index, expected: results[i]! })),
  )
  it.each(cells)('A.1 feature $index with $name is $expected', async ({ flags, argsz, index, expected }) => {
    expect(await callWith(await fullDevice(), index | flags, argsz)).toBe(expected)
  })

  it('A.1 feature 2 with SET, argsz 16 is the transition', async () => {
    const device = await fullDevice()
    const memory = featureMemory(2 | SET, 16)
    memory[8] = DeviceState.STOP
    expect(await feature(device, memory)).toBe(0)
    expect(await device.state()).toBe(DeviceState.STOP)
  })

  it.each([1, 2, 9])(
    'A.1 feature %i on a device without migration is ENOTTY, whatever is asked',
    async (index) => {
      const device = await plainDevice()
      for (const ops of [0, GET, SET, PROBE, PROBE | GET, PROBE | SET, PROBE | GET | SET]) {
        expect(await callWith(device, index | ops, 8)).toBe('ENOTTY')
      }
    },
  )

  it.each([1, 2, 6, 7, 8, 9, 12])(
    'A.1 feature %i on a device without migration is EINVAL for GET+SET and for bit 19',
    async (index) => {
      const device = await plainDevice()
      expect(await callWith(device, index | GET | SET, 16)).toBe('EINVAL')
      expect(await callWith(device, index | GET | BIT19, 16)).toBe('EINVAL')
    },
  )

  it.each([6, 7, 8])(
    'A.1 feature %i without log operations is ENOTTY, before the operation',
    async (index) => {
      const device = await VfioDevice.open(new ScriptedDriver())
      for (const ops of [0, GET, SET, PROBE, PROBE | GET | SET]) {
        expect(await callWith(device, index | ops, 8)).toBe('ENOTTY')
      }
    },
  )
})

describe('A.1 features 6, 7, 8 and 12', () => {
  const OPS: [index: number, allowed: number, other: number, argsz: number][] = [
    [6, SET, GET, 32],
    [7, SET, GET, 8],
    [8, GET, SET, 40],
    [12, SET, GET, 8],
  ]

  it.each(OPS)('A.1 feature %i allows one operation and probes it', async (index, allowed, other) => {
    const device = await fullDevice()
    expect(await callWith(device, index | other, 64)).toBe('EINVAL')
    expect(await callWith(device, index | PROBE | other, 64)).toBe('EINVAL')
    expect(await callWith(device, index | PROBE | GET | SET, 64)).toBe('EINVAL')
    expect(await callWith(device, index, 64)).toBe('EINVAL')
    expect(await callWith(device, index | PROBE, 8)).toBe('ok')
    expect(await callWith(device, index | PROBE | allowed, 8)).toBe('ok')
  })

  it.each([
    [6, SET, 31],
    [7, SET, 7],
    [8, GET, 39],
    [12, SET, 7],
  ])('A.1 feature %i with argsz one too small is EINVAL', async (index, op, argsz) => {
    expect(await callWith(await fullDevice(), index | op, argsz)).toBe('EINVAL')
  })

  it('A.1 features 7 and 12 have no payload: 8 bytes of memory are enough, more are ignored', async () => {
    const device = await fullDevice()
    expect(await callWith(device, 7 | SET, 8, 8)).toBe('ok')
    expect(await callWith(device, 12 | SET, 8, 8)).toBe('ok')
    const memory = featureMemory(12 | SET, 64).fill(0xee, 8)
    expect(await codeOf(() => feature(device, memory))).toBe('ok')
    expect(memory.subarray(8).every((byte) => byte === 0xee)).toBe(true)
  })

  it.each([0, 1, 3])('A.1 feature 12 with flags %i is EINVAL, not ENOTTY, PROBE too', async (flags) => {
    const device = await VfioDevice.open(new ScriptedDriver({ flags }))
    for (const ops of [0, GET, SET, PROBE, PROBE | SET])
      expect(await callWith(device, 12 | ops, 8)).toBe('EINVAL')
    expect(await codeOf(() => device.enablePrecopyInfoV2())).toBe('EINVAL')
  })

  it.each([5, 7])('A.1 feature 12 with flags %i is accepted', async (flags) => {
    const device = await VfioDevice.open(new ScriptedDriver({ flags }))
    expect(await callWith(device, 12 | SET, 8)).toBe('ok')
  })
})

describe('A.1 entry order', () => {
  it('A.1 step 3: 8 unreadable bytes are EFAULT, wherever they are missing', async () => {
    const device = await fullDevice()
    const memory = featureMemory(1 | GET, 16)
    const addresses = [57, 64, -1, 0.5, Number.NaN, 2 ** 53]
    const codes = await Promise.all(
      addresses.map((address) => codeOf(() => feature(device, memory, address))),
    )
    expect(codes).toEqual(addresses.map(() => 'EFAULT'))
  })

  it('A.1 steps 4 to 6 come before the feature index', async () => {
    const device = await fullDevice()
    expect(await callWith(device, 0xfff0 | GET, 7)).toBe('EINVAL')
    expect(await callWith(device, 0xfff0 | BIT19, 16)).toBe('EINVAL')
    expect(await callWith(device, 0xfff0 | GET | SET, 16)).toBe('EINVAL')
    expect(await callWith(device, 0xfff0 | GET | SET | PROBE, 16)).toBe('ENOTTY')
  })

  it.each([0, 3, 4, 5, 10, 11, 13, 0xffff])('A.1 step 7: unknown feature %i is ENOTTY', async (index) => {
    const device = await fullDevice()
    for (const ops of [0, GET, SET, PROBE]) expect(await callWith(device, index | ops, 8)).toBe('ENOTTY')
  })

  it('A.1 step f: a payload outside memory is EFAULT, after argsz was checked', async () => {
    const device = await fullDevice()
    const cells: [number, number, number][] = [
      [1 | GET, 16, 15],
      [2 | GET, 16, 15],
      [2 | SET, 16, 15],
      [6 | SET, 32, 31],
      [8 | GET, 40, 39],
      [9 | GET, 16, 15],
    ]
    for (const [flags, argsz, byteLength] of cells) {
      expect(await callWith(device, flags, argsz, byteLength)).toBe('EFAULT')
      expect(await callWith(device, flags, argsz - 1, byteLength)).toBe('EINVAL')
    }
  })

  it('only bytes really moved are range-checked, never argsz', async () => {
    expect(await callWith(await fullDevice(), 1 | GET, 0xffff_ffff, 16)).toBe('ok')
  })

  it('B.1 unknown requests are ENOTTY', async () => {
    const device = await fullDevice()
    expect(await codeOf(() => device.ioctl(0x3b79, new Uint8Array(64)))).toBe('ENOTTY')
    expect(await codeOf(() => device.ioctl(0, new Uint8Array(0)))).toBe('ENOTTY')
  })
})

describe('features 1 and 9 and VFIO_DEVICE_RESET', () => {
  it.each([1, 3, 5, 7])('A.1 MIGRATION GET tells flags %i as u64, other bytes untouched', async (flags) => {
    const device = await VfioDevice.open(new ScriptedDriver({ flags }))
    const memory = featureMemory(1 | GET, 32).fill(0xee, 8)
    await feature(device, memory)
    expect([...memory.subarray(8, 16)]).toEqual([flags, 0, 0, 0, 0, 0, 0, 0])
    expect(memory.subarray(16).every((byte) => byte === 0xee)).toBe(true)
    expect(memory[0]).toBe(32)
  })

  it('A.1 MIG_DATA_SIZE tells the driver figure, and its errno passes through', async () => {
    const driver = new ScriptedDriver()
    const device = await VfioDevice.open(driver)
    driver.length = 2 ** 40 + 5
    const memory = featureMemory(9 | GET, 16)
    await feature(device, memory)
    expect(new DataView(memory.buffer).getBigUint64(8, true)).toBe(2n ** 40n + 5n)
    expect(await device.stopCopyLength()).toBe(2 ** 40 + 5)
    for (const length of [-1, 0.5, 2 ** 53]) {
      driver.length = length
      expect(await codeOf(() => device.stopCopyLength())).toBe('EIO')
    }
  })

  it('a result for memory that was detached meanwhile is EFAULT', async () => {
    const driver = new ScriptedDriver()
    const device = await VfioDevice.open(driver)
    const gate = deferred()
    driver.stopCopyLength = (() => gate.promise.then(() => 60)) as never
    const memory = featureMemory(9 | GET, 16)
    const pending = feature(device, memory)
    detach(memory)
    gate.resolve()
    expect(await codeOf(() => pending)).toBe('EFAULT')
  })

  it('A.7 VFIO_DEVICE_RESET resets, without looking at memory', async () => {
    const driver = new ScriptedDriver()
    const device = await VfioDevice.open(driver)
    await device.setState(DeviceState.STOP)
    expect(await device.ioctl(VFIO_DEVICE_RESET, new Uint8Array(0), 99)).toBe(0)
    expect(await device.state()).toBe(DeviceState.RUNNING)
    expect(driver.calls.at(-1)).toBe('reset')
  })

  it('input is copied in before the promise is returned', async () => {
    const device = await fullDevice()
    const memory = featureMemory(2 | SET, 16, 16)
    memory[8] = DeviceState.STOP
    const pending = device.ioctl(VFIO_DEVICE_FEATURE, memory)
    memory.fill(0xff)
    await pending
    expect(await device.state()).toBe(DeviceState.STOP)
    expect([...memory.subarray(8)]).toEqual([DeviceState.STOP, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
  })
})
