/**
 * The life of a data session: directions, ends, and what keeps or ends it.
 *
 * @module
 */

import type { MigrationSession } from '../../session/migration-session.ts'
import { POLLERR, POLLHUP, POLLIN } from '../../uapi/poll.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectSameBytes, expectThat } from '../expectation.ts'
import { loadStream, openSession, readBytes, readStream, readToEnd, readToIdle } from '../session-bytes.ts'

/** Most that is read while waiting for a busy device to have nothing more in PRE_COPY. */
const IDLE_LIMIT_BYTES = 16 * 1024 * 1024

/** Cases about sessions. */
export function sessionCases(): CaseBody[] {
  return [
    {
      name: 'a session has one direction',
      rule: 'a write to a saving session and a read from a resuming one are EBADF',
      body: async ({ open }) => {
        const device = await open()
        const saving = await openSession(device, DeviceState.STOP_COPY)
        expectSame('direction in STOP_COPY', saving.direction, 'save')
        await expectErrno('write to a saving session', () => saving.write(new Uint8Array(1)), 'EBADF')
        const resuming = await openSession(device, DeviceState.RESUMING)
        expectSame('direction in RESUMING', resuming.direction, 'resume')
        await expectErrno('read from a resuming session', () => resuming.read(new Uint8Array(1)), 'EBADF')
      },
    },
    {
      name: 'the end of the stream is permanent in STOP_COPY',
      rule: 'read answers 0 when all state was delivered, and 0 ever after; the session is then readable to poll',
      body: async ({ open }) => {
        const device = await open()
        const session = await openSession(device, DeviceState.STOP_COPY)
        await readToEnd(session)
        for (const time of ['second', 'third']) {
          expectSame(`${time} read at the end`, await session.read(new Uint8Array(64)), 0)
        }
        expectThat(((await session.poll()) & POLLIN) !== 0, 'poll at the end', 'POLLIN', 'no POLLIN')
      },
    },
    {
      name: 'the temporary end of PRE_COPY is no end',
      rule: 'nothing to read in PRE_COPY is ENOMSG; 0 would tell a client that all state was delivered',
      needs: ['pre-copy'],
      body: tryTemporaryEnd,
    },
    ...endings(),
    {
      name: 'one session for the whole saving group',
      rule: 'moving between PRE_COPY, PRE_COPY_P2P and STOP_COPY keeps the session and opens no other',
      needs: ['pre-copy', 'p2p'],
      body: async ({ open }) => {
        const device = await open()
        const session = await openSession(device, DeviceState.PRE_COPY)
        const { PRE_COPY_P2P, PRE_COPY, STOP_COPY } = DeviceState
        for (const state of [PRE_COPY_P2P, PRE_COPY, PRE_COPY_P2P, STOP_COPY]) {
          const other = await device.setState(state)
          expectThat(other === undefined, `setState(${deviceStateName(state)})`, 'no session', 'one')
          expectSame(`the session in ${deviceStateName(state)}, ended`, session.ended.aborted, false)
        }
        expectThat((await readToEnd(session)).length > 0, 'a read to the end', 'a stream', 'nothing')
      },
    },
    {
      name: 'a closed session leaves the device as it is',
      rule: 'closing a data fd changes no state; a closed fd is EBADF; the state gives no second one',
      body: async ({ open }) => {
        const device = await open()
        const session = await openSession(device, DeviceState.STOP_COPY)
        await session.close()
        await expectErrno('read of the closed session', () => session.read(new Uint8Array(1)), 'EBADF')
        expectSame('state after session.close()', deviceStateName(await device.state()), 'STOP_COPY')
        const second = await device.setState(DeviceState.STOP_COPY)
        expectThat(second === undefined, 'setState(STOP_COPY) in STOP_COPY', 'no session', 'one')
        await device.setState(DeviceState.STOP)
        expectThat((await readStream(device)).length > 0, 'the next save', 'a stream', 'nothing')
      },
    },
    {
      name: 'a session closed in PRE_COPY does not hold the device',
      rule: 'the device goes on to STOP_COPY and back without a reader',
      needs: ['pre-copy'],
      body: async ({ open }) => {
        const device = await open()
        const session = await openSession(device, DeviceState.PRE_COPY)
        await session.close()
        await device.setState(DeviceState.STOP_COPY)
        await device.setState(DeviceState.RUNNING)
        expectSame('state', deviceStateName(await device.state()), 'RUNNING')
      },
    },
    {
      name: 'closing the device ends its session',
      rule: 'a data fd that outlives its device is ENODEV',
      body: async ({ open }) => {
        const device = await open()
        const session = await openSession(device, DeviceState.STOP_COPY)
        await device.close()
        expectSame('the session after close(), ended', session.ended.aborted, true)
        await expectErrno('read after close()', () => session.read(new Uint8Array(1)), 'ENODEV')
      },
    },
    {
      name: 'every resuming session starts afresh',
      rule: 'bytes of an abandoned stream never complete a later one',
      body: async ({ open, donorStream }) => {
        const stream = await donorStream()
        const device = await open()
        const first = await openSession(device, DeviceState.RESUMING)
        await first.write(stream.subarray(0, stream.length - 1))
        await device.reset()
        const second = await openSession(device, DeviceState.RESUMING)
        // Written to the front of a new stream, the last byte completes nothing.
        await expectErrno('the last byte alone, then setState(STOP)', async () => {
          await second.write(stream.subarray(stream.length - 1))
          await device.setState(DeviceState.STOP)
        })
        await device.reset()
        await loadStream(device, stream)
        expectSameBytes('a save after the load', await readStream(device), stream)
      },
    },
  ]
}

/** The arcs that end a session, each followed by use of the dead session. */
function endings(): CaseBody[] {
  const { STOP_COPY, STOP, PRE_COPY, RUNNING, PRE_COPY_P2P, RUNNING_P2P, RESUMING } = DeviceState
  const arcs = [
    { from: STOP_COPY, to: STOP, needs: [] },
    { from: RESUMING, to: STOP, needs: [] },
    { from: PRE_COPY, to: RUNNING, needs: ['pre-copy'] },
    { from: PRE_COPY_P2P, to: RUNNING_P2P, needs: ['pre-copy', 'p2p'] },
  ] as const
  return arcs.map(({ from, to, needs }) => ({
    name: `${deviceStateName(from)} to ${deviceStateName(to)} ends the session`,
    rule: 'after its session ended a data fd answers ENODEV, POLLHUP and POLLERR',
    needs,
    body: async (bench) => {
      const device = await bench.open()
      const session = await bench.reach(device, from)
      await device.setState(to)
      if (session !== undefined) await expectEnded(session)
      else expectThat(false, `setState(${deviceStateName(from)})`, 'a session', 'none')
    },
  }))
}

async function expectEnded(session: MigrationSession): Promise<void> {
  const oneByte = new Uint8Array(1)
  const use = (): unknown => (session.direction === 'save' ? session.read(oneByte) : session.write(oneByte))
  expectSame('`ended` of the session', session.ended.aborted, true)
  await expectErrno(session.direction === 'save' ? 'read' : 'write', use, 'ENODEV')
  const gone = POLLHUP | POLLERR
  expectSame('POLLHUP and POLLERR of the session', (await session.poll()) & gone, gone)
  expectSame('POLLHUP and POLLERR from ready()', (await session.ready(POLLIN)) & gone, gone)
}

async function tryTemporaryEnd({ open, options }: Bench): Promise<void> {
  const device = await open()
  const session = await openSession(device, DeviceState.PRE_COPY)
  const expected = options.rawPrecopyEnd ? 'zero' : 'ENOMSG'
  const { stream, end } = await readToIdle(session, IDLE_LIMIT_BYTES)
  // A device that is always busy never gets here, and may.
  if (end !== 'busy') expectSame('a read with nothing left in PRE_COPY', end, expected)
  await device.setState(DeviceState.STOP_COPY)
  const rest = await readBytes(session, 1)
  expectThat(stream.length + rest.length > 0, 'reads in PRE_COPY and STOP_COPY', 'a stream', 'nothing')
}
