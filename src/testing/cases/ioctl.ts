/**
 * The byte-level entry against the typed calls. The messages are written out as bytes here, so that
 * a mistake in the package's encoders cannot hide.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectThat, Mismatch } from '../expectation.ts'
import { ENTERABLE_STATES } from '../expected-transitions.ts'

const VFIO_DEVICE_RESET = 0x3b6f
const VFIO_DEVICE_FEATURE = 0x3b75
const FEATURE_MIGRATION = 1
const FEATURE_MIG_DEVICE_STATE = 2
const FEATURE_MIG_DATA_SIZE = 9
const GET = 1
const SET = 2
const PROBE = 4

/** Cases that need `ioctl`. */
export function ioctlCases(): CaseBody[] {
  return [
    {
      name: 'ioctl and typed calls report the same device',
      rule: 'MIGRATION, MIG_DEVICE_STATE and MIG_DATA_SIZE answer what the typed calls answer, with data_fd -1',
      needs: ['ioctl'],
      body: async ({ open }) => {
        const device = await open()
        const flags = (await feature(device, FEATURE_MIGRATION, GET)).getBigUint64(8, true)
        expectSame('flags of feature MIGRATION', Number(flags), await device.migrationFlags())
        const reply = await feature(device, FEATURE_MIG_DEVICE_STATE, GET)
        expectSame('device_state of GET', reply.getUint32(8, true), await device.state())
        expectSame('data_fd of GET', reply.getInt32(12, true), -1)
        const length = (await feature(device, FEATURE_MIG_DATA_SIZE, GET)).getBigUint64(8, true)
        expectSame('stop_copy_length', Number(length), await device.stopCopyLength?.())
        await feature(device, FEATURE_MIG_DEVICE_STATE, GET | SET | PROBE)
      },
    },
    ...ENTERABLE_STATES.map(({ state, needs }): CaseBody => ({
      name: `SET(${deviceStateName(state)}) by ioctl does what setState does`,
      rule: 'one path serves both: the state is entered, and data_fd is a number iff setState gives a session',
      needs: ['ioctl', ...needs],
      body: async ({ open }) => {
        const typed = await open()
        const session = await typed.setState(state)
        const device = await open()
        const reply = await feature(device, FEATURE_MIG_DEVICE_STATE, SET, state)
        expectSame('state()', deviceStateName(await device.state()), deviceStateName(await typed.state()))
        expectSame('device_state of the reply', reply.getUint32(8, true), state)
        const fd = reply.getInt32(12, true)
        const agrees = session === undefined ? fd === -1 : fd >= 0
        expectThat(agrees, 'data_fd of the reply', session === undefined ? '-1' : 'an fd', fd)
        const again = await feature(device, FEATURE_MIG_DEVICE_STATE, SET, state)
        expectSame('data_fd of the same SET again', again.getInt32(12, true), -1)
      },
    })),
    {
      name: 'a refused SET keeps the requested state in memory',
      rule: 'on failure device_state stays the requested value and data_fd is -1; only GET tells the state',
      needs: ['ioctl'],
      body: tryRefusedSet,
    },
    {
      name: 'VFIO_DEVICE_RESET by ioctl does what reset does',
      rule: 'one path serves both',
      needs: ['ioctl'],
      body: async ({ open }) => {
        const device = await open()
        const session = await device.setState(DeviceState.STOP_COPY)
        await ioctlOf(device)(VFIO_DEVICE_RESET, new Uint8Array(0))
        expectSame('state()', deviceStateName(await device.state()), 'RUNNING')
        expectSame('the session, ended', session?.ended.aborted, true)
      },
    },
  ]
}

async function tryRefusedSet({ open }: Bench): Promise<void> {
  const device = await open()
  for (const state of [DeviceState.ERROR, 8, 0xffffffff]) {
    const message = encode(FEATURE_MIG_DEVICE_STATE, SET, state)
    await expectErrno(`SET(${state})`, () => ioctlOf(device)(VFIO_DEVICE_FEATURE, message), 'EINVAL')
    const view = new DataView(message.buffer)
    expectSame(`device_state after SET(${state})`, view.getUint32(8, true), state)
    expectSame(`data_fd after SET(${state})`, view.getInt32(12, true), -1)
    expectSame(`state() after SET(${state})`, deviceStateName(await device.state()), 'RUNNING')
  }
}

/** A 16-byte feature message: argsz, index and operations, then the state and a data_fd to overwrite. */
function encode(index: number, operations: number, state = 0): Uint8Array {
  const message = new Uint8Array(16)
  const view = new DataView(message.buffer)
  view.setUint32(0, message.length, true)
  view.setUint16(4, index, true)
  view.setUint16(6, operations, true)
  view.setUint32(8, state, true)
  view.setInt32(12, 0x7fff, true)
  return message
}

async function feature(
  device: MigrationDevice,
  index: number,
  operations: number,
  state?: number,
): Promise<DataView> {
  const message = encode(index, operations, state)
  expectSame('ioctl', await ioctlOf(device)(VFIO_DEVICE_FEATURE, message), 0)
  return new DataView(message.buffer)
}

function ioctlOf(device: MigrationDevice): NonNullable<MigrationDevice['ioctl']> {
  if (device.ioctl === undefined) throw new Mismatch('the byte-level entry: expected `ioctl`, got none')
  return device.ioctl.bind(device)
}
