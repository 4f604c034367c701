/**
 * Register access by state, and the silence of a stopped device.
 *
 * @module
 */

import type { DeviceRegions } from '../../device/driver.ts'
import type { MigrationDevice } from '../../device/migration-device.ts'
import { VfioError } from '../../errors.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectSameBytes, Mismatch } from '../expectation.ts'
import { ENTERABLE_STATES } from '../expected-transitions.ts'
import {
  concatenate,
  openSession,
  readBytes,
  readStream,
  readToEnd,
  writeInPieces,
} from '../session-bytes.ts'

const DEFAULT_WATCH_MS = 20

/** Cases about registers and about time. */
export function accessCases(): CaseBody[] {
  const accessible = ENTERABLE_STATES.filter(({ state }) => state !== DeviceState.RESUMING)
  return [
    ...accessible.map(({ state, needs }): CaseBody => ({
      name: `register access in ${deviceStateName(state)} works`,
      rule: 'registers can be read and written in every state but RESUMING and ERROR, and keep what is stored (device memory may be EBUSY in STOP_COPY)',
      needs: ['regions', ...needs],
      body: async (bench) => {
        const device = await bench.open()
        await bench.reach(device, state)
        touchRegister(bench, device, 0x5a, state === DeviceState.STOP_COPY)
      },
    })),
    {
      name: 'register access in RESUMING is EBUSY',
      rule: 'what a stream brings and what a user stores must not mix',
      needs: ['regions'],
      body: async (bench) => {
        const device = await bench.open()
        await bench.reach(device, DeviceState.RESUMING)
        const { regions, index, offset } = scratchOf(bench, device)
        const byte = new Uint8Array(1)
        await expectErrno('regions.read', () => regions.read(index, offset, byte), 'EBUSY')
        await expectErrno('regions.write', () => regions.write(index, offset, byte), 'EBUSY')
      },
    },
    {
      name: 'register access in STOP_COPY does not alter the stream',
      rule: 'the session delivers the state as it was when STOP_COPY was entered',
      needs: ['regions'],
      body: async (bench) => {
        const device = await bench.open()
        await device.setState(DeviceState.STOP)
        const stream = await readStream(device)
        const session = await openSession(device, DeviceState.STOP_COPY)
        touchRegister(bench, device, 0xa7, true)
        const front = await readBytes(session, stream.length >> 1)
        touchRegister(bench, device, 0x3c, true)
        expectSameBytes('the stream', concatenate([front, await readToEnd(session)]), stream)
      },
    },
    {
      name: 'nothing moves in STOP',
      rule: 'a stopped device changes no state of its own',
      body: async (bench) => {
        const device = await bench.open()
        await device.setState(DeviceState.STOP)
        const before = await readStream(device)
        await watch(bench)
        expectSameBytes('a second save', await readStream(device), before)
        expectSame('state', deviceStateName(await device.state()), 'STOP')
      },
    },
    {
      name: 'nothing moves in STOP_COPY',
      rule: 'a stream read slowly is the same stream',
      body: async (bench) => {
        const device = await bench.open()
        await device.setState(DeviceState.STOP)
        const before = await readStream(device)
        const session = await openSession(device, DeviceState.STOP_COPY)
        const front = await readBytes(session, before.length >> 1)
        await watch(bench)
        expectSameBytes('the stream', concatenate([front, await readToEnd(session)]), before)
        await device.setState(DeviceState.STOP)
        expectSameBytes('the next save', await readStream(device), before)
      },
    },
    {
      name: 'nothing moves in RESUMING',
      rule: 'a stream written slowly loads the same state',
      body: async (bench) => {
        const stream = await bench.donorStream()
        const device = await bench.open()
        const session = await openSession(device, DeviceState.RESUMING)
        const half = stream.length >> 1
        await writeInPieces(session, stream.subarray(0, half))
        await watch(bench)
        await writeInPieces(session, stream.subarray(half))
        await watch(bench)
        await device.setState(DeviceState.STOP)
        await watch(bench)
        expectSameBytes('a save of the restored device', await readStream(device), stream)
      },
    },
  ]
}

/** Lets time pass: a device with a clock of its own would move now. */
async function watch({ options }: Bench): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, options.watchMs ?? DEFAULT_WATCH_MS)
  })
}

function scratchOf(
  { options }: Bench,
  { regions }: MigrationDevice,
): { regions: DeviceRegions; index: number; offset: number } {
  if (regions === undefined) throw new Mismatch('register access: expected `regions`, got none')
  return { regions, ...(options.scratch ?? { index: 0, offset: 0 }) }
}

/** Writes and reads one register byte; where the author named a scratch register, it keeps the value. */
function touchRegister(bench: Bench, device: MigrationDevice, value: number, inStopCopy = false): void {
  const { regions, index, offset } = scratchOf(bench, device)
  const byte = new Uint8Array(1)
  try {
    regions.write(index, offset, Uint8Array.of(value))
  } catch (error) {
    // Memory behind a BAR is what the session hands out: refusing the write keeps the stream as it was.
    if (inStopCopy && VfioError.is(error, 'EBUSY')) return
    throw error
  }
  regions.read(index, offset, byte)
  if (bench.options.scratch !== undefined) expectSame('the register that was written', byte[0], value)
}
