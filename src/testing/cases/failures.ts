/**
 * Failure injected at every arc of every walk, and in the middle of a session.
 *
 * @module
 */

import type { VfioDevice } from '../../device/vfio-device.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectSameBytes, expectThat } from '../expectation.ts'
import { expectedWalk, statesOf } from '../expected-transitions.ts'
import type { ExpectedArc } from '../expected-transitions.ts'
import { loadStream, openSession, readBytes, readStream, writeInPieces } from '../session-bytes.ts'

/** Cases around a driver that fails on demand. */
export function failureCases(): CaseBody[] {
  const needs = ['driver'] as const
  return [
    {
      name: 'a failure at any arc of any walk',
      rule: "the driver's errno is passed on, the last completed state is kept, and the walk can be taken up again",
      needs,
      body: async (bench) => {
        for (const { from, target, walk } of await walksOf(bench)) {
          for (const arc of walk) await failOnce(bench, from, target, walk, arc)
        }
      },
    },
    {
      name: 'a failure that moves to ERROR, at any arc',
      rule: 'ERROR ends the session, refuses every request, and is left by a reset only',
      needs,
      body: async (bench) => {
        for (const { from, target, walk } of await walksOf(bench)) {
          if (walk.length === 1) await failToError(bench, from, target)
        }
      },
    },
    {
      name: 'register access in ERROR is EIO',
      rule: 'a failed device answers no register access until it is reset',
      needs: ['driver', 'regions'],
      body: async (bench) => {
        const { device } = await bench.openFaulty({ failAt: 'STOP->STOP_COPY', toError: true })
        await expectErrno('setState(STOP_COPY)', () => device.setState(DeviceState.STOP_COPY), 'EIO')
        const { index, offset } = bench.options.scratch ?? { index: 0, offset: 0 }
        const { regions } = device
        await expectErrno('regions.read', () => regions?.read(index, offset, new Uint8Array(1)), 'EIO')
        await expectErrno('regions.write', () => regions?.write(index, offset, new Uint8Array(1)), 'EIO')
      },
    },
    {
      name: 'a read that fails midway',
      rule: 'what comes before the failure is delivered, the failure stays, and the device can be stopped and saved anew',
      needs,
      body: failRead,
    },
    {
      name: 'a write that fails midway',
      rule: 'a stream whose write failed is never loaded; a reset leads out',
      needs,
      body: failWrite,
    },
  ]
}

interface Walk {
  readonly from: DeviceState
  readonly target: DeviceState
  readonly walk: readonly ExpectedArc[]
}

async function walksOf(bench: Bench): Promise<Walk[]> {
  const { device } = await bench.openFaulty()
  const flags = await device.migrationFlags()
  const states = statesOf(flags)
  return states.flatMap((from) =>
    states.flatMap((target) => {
      const walk = expectedWalk(flags, from, target)
      return walk === undefined ? [] : [{ from, target, walk }]
    }),
  )
}

async function failOnce(
  bench: Bench,
  from: DeviceState,
  target: DeviceState,
  walk: readonly ExpectedArc[],
  arc: ExpectedArc,
): Promise<void> {
  const { device, faulty } = await bench.openFaulty()
  const before = await bench.reach(device, from)
  const did = `setState(${deviceStateName(target)}) in ${deviceStateName(from)}, failing after ${deviceStateName(arc.from)}`
  faulty.faults.failAt = arc
  await expectErrno(did, () => device.setState(target), 'EIO')
  expectSame(`state after ${did}`, deviceStateName(await device.state()), deviceStateName(arc.from))
  const ended = walk.slice(0, walk.indexOf(arc)).some(({ endsSession }) => endsSession)
  if (before !== undefined) expectSame(`the session after ${did}, ended`, before.ended.aborted, ended)
  faulty.faults.failAt = undefined
  await device.setState(target)
  expectSame(
    `state after ${did}, tried again`,
    deviceStateName(await device.state()),
    deviceStateName(target),
  )
  await device.close()
}

async function failToError(bench: Bench, from: DeviceState, target: DeviceState): Promise<void> {
  const { device, faulty } = await bench.openFaulty()
  const session = await bench.reach(device, from)
  const did = `setState(${deviceStateName(target)}) in ${deviceStateName(from)}, failing to ERROR`
  faulty.faults.failAt = { from, to: target }
  faulty.faults.toError = true
  await expectErrno(did, () => device.setState(target), 'EIO')
  expectSame(`state after ${did}`, deviceStateName(await device.state()), 'ERROR')
  if (session !== undefined) expectSame(`the session after ${did}, ended`, session.ended.aborted, true)
  await expectStuckInError(device)
  await device.reset()
  expectSame(`state after ${did} and reset()`, deviceStateName(await device.state()), 'RUNNING')
  await device.close()
}

async function expectStuckInError(device: VfioDevice): Promise<void> {
  for (const target of statesOf(await device.migrationFlags())) {
    await expectErrno(
      `setState(${deviceStateName(target)}) in ERROR`,
      () => device.setState(target),
      'EINVAL',
    )
  }
  expectSame('state after requests in ERROR', deviceStateName(await device.state()), 'ERROR')
}

async function failRead(bench: Bench): Promise<void> {
  const { device, faulty } = await bench.openFaulty()
  await device.setState(DeviceState.STOP)
  const stream = await readStream(device)
  const failAt = stream.length >> 1
  faulty.faults.failRead = failAt
  const session = await openSession(device, DeviceState.STOP_COPY)
  expectSameBytes('bytes before the failure', await readBytes(session, failAt), stream.subarray(0, failAt))
  for (const time of ['first', 'second']) {
    await expectErrno(`${time} read at the failure`, () => session.read(new Uint8Array(16)), 'EIO')
  }
  await device.setState(DeviceState.STOP)
  faulty.faults.failRead = undefined
  expectSameBytes('a save after the failed one', await readStream(device), stream)
}

async function failWrite(bench: Bench): Promise<void> {
  const stream = await bench.donorStream()
  const failAt = stream.length >> 1
  const { device, faulty } = await bench.openFaulty({ failWrite: failAt })
  const session = await openSession(device, DeviceState.RESUMING)
  await writeInPieces(session, stream.subarray(0, failAt))
  await expectErrno('write at the failure', () => session.write(stream.subarray(failAt)), 'EIO')
  await expectErrno('setState(STOP) after the failed write', () => device.setState(DeviceState.STOP))
  const state = await device.state()
  const isHeld = state === DeviceState.RESUMING || state === DeviceState.ERROR
  expectThat(isHeld, 'state after the refused load', 'RESUMING or ERROR', deviceStateName(state))
  await device.reset()
  faulty.faults.failWrite = undefined
  await loadStream(device, stream)
  expectSameBytes('a save after the load', await readStream(device), stream)
}
