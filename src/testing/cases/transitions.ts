/**
 * Every pair of states, out-of-range requests, and resets at every state.
 *
 * @module
 */

import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectThat } from '../expectation.ts'
import { ENTERABLE_STATES, expectedWalk } from '../expected-transitions.ts'
import { readStream } from '../session-bytes.ts'

const OUT_OF_RANGE = [8, 9, 0xffffffff]

/** All 8 targets from every state that can be entered. */
export function transitionCases(): CaseBody[] {
  return [
    {
      name: 'a device opens in RUNNING',
      rule: 'RUNNING is the state after open',
      body: async ({ open }) => {
        const device = await open()
        expectSame('state() after open', await device.state(), DeviceState.RUNNING)
      },
    },
    ...ENTERABLE_STATES.flatMap(({ state: from, needs }) => [
      ...Object.values(DeviceState).map((target): CaseBody => ({
        name: `setState from ${deviceStateName(from)} to ${deviceStateName(target)}`,
        rule: 'the walk is the shortest legal one; a session opens iff its last arc opens one; a refused request changes nothing',
        needs,
        body: (bench) => tryPair(bench, from, target),
      })),
      {
        name: `setState from ${deviceStateName(from)} refuses numbers that are no state`,
        rule: 'a state number of 8 and above is EINVAL and changes nothing',
        needs,
        body: (bench: Bench) => tryOutOfRange(bench, from),
      },
      {
        name: `reset in ${deviceStateName(from)}`,
        rule: 'a reset goes to RUNNING, ends the session, and leaves a device that can be migrated',
        needs,
        body: (bench: Bench) => tryReset(bench, from),
      },
    ]),
  ]
}

async function tryPair(bench: Bench, from: DeviceState, target: DeviceState): Promise<void> {
  const device = await bench.open()
  const before = await bench.reach(device, from)
  const did = `setState(${deviceStateName(target)}) in ${deviceStateName(from)}`
  const walk = expectedWalk(await device.migrationFlags(), from, target)
  if (walk === undefined) {
    await expectErrno(did, () => device.setState(target), 'EINVAL')
    expectSame(`state after the refused ${did}`, deviceStateName(await device.state()), deviceStateName(from))
    if (before !== undefined)
      expectSame(`the session after the refused ${did}, ended`, before.ended.aborted, false)
    return
  }
  const session = await device.setState(target)
  expectSame(`state after ${did}`, deviceStateName(await device.state()), deviceStateName(target))
  const opens = walk.at(-1)?.opensSession ?? false
  expectThat(
    (session !== undefined) === opens,
    did,
    opens ? 'a session' : 'no session',
    session === undefined ? 'none' : 'one',
  )
  const ends = walk.some(({ endsSession }) => endsSession)
  if (before !== undefined) expectSame(`the earlier session after ${did}, ended`, before.ended.aborted, ends)
}

async function tryOutOfRange(bench: Bench, from: DeviceState): Promise<void> {
  const device = await bench.open()
  await bench.reach(device, from)
  for (const target of OUT_OF_RANGE) {
    await expectErrno(`setState(${target})`, () => device.setState(target as DeviceState), 'EINVAL')
    expectSame(
      `state after setState(${target})`,
      deviceStateName(await device.state()),
      deviceStateName(from),
    )
  }
}

async function tryReset(bench: Bench, from: DeviceState): Promise<void> {
  const device = await bench.open()
  const session = await bench.reach(device, from)
  await device.reset()
  expectSame('state after reset()', deviceStateName(await device.state()), 'RUNNING')
  if (session !== undefined) {
    const oneByte = new Uint8Array(1)
    const use = (): unknown => (session.direction === 'save' ? session.read(oneByte) : session.write(oneByte))
    expectSame('the session after reset(), ended', session.ended.aborted, true)
    await expectErrno('use of the session after reset()', use, 'ENODEV')
  }
  expectThat((await readStream(device)).length > 0, 'a save after reset()', 'a stream', 'an empty one')
}
