/**
 * What a stream must survive (any segmentation) and what it must not (any damage).
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { VfioError } from '../../errors.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectSameBytes, expectThat } from '../expectation.ts'
import {
  loadStream,
  ODD_PIECES,
  openSession,
  OTHER_ODD_PIECES,
  readStream,
  readToEnd,
  readToIdle,
  writeInPieces,
} from '../session-bytes.ts'

/** Up to here every byte of a checked stream is damaged in turn, above it this many places of it. */
const DAMAGED_PLACES = 256

/** Cases about the bytes of a session. */
export function streamCases(): CaseBody[] {
  return [
    {
      name: 'a stream can be cut anywhere',
      rule: 'reads and writes of any size carry the same stream, and what was restored saves the same bytes',
      body: async ({ open }) => {
        const source = await open()
        await source.setState(DeviceState.STOP)
        const stream = await readStream(source)
        expectSameBytes('a save in odd pieces', await readStream(source, ODD_PIECES), stream)
        const destination = await open()
        await loadStream(destination, stream, OTHER_ODD_PIECES)
        expectSameBytes('a save of the restored device', await readStream(destination, ODD_PIECES), stream)
      },
    },
    {
      name: 'a stream read over both phases is whole',
      rule: 'what PRE_COPY delivered is part of one stream, which STOP_COPY completes; unread bytes are not lost',
      needs: ['pre-copy'],
      body: async ({ open }) => {
        for (const readEarly of [0, 7, 4096]) {
          const source = await open()
          const session = await openSession(source, DeviceState.PRE_COPY)
          const early = (await readToIdle(session, readEarly)).stream
          await source.setState(DeviceState.STOP_COPY)
          const late = await readToEnd(session, ODD_PIECES)
          await source.setState(DeviceState.STOP)
          const destination = await open()
          const resuming = await openSession(destination, DeviceState.RESUMING)
          await writeInPieces(resuming, early)
          await writeInPieces(resuming, late, OTHER_ODD_PIECES)
          await destination.setState(DeviceState.STOP)
          const did = `a save after a restore with ${early.length} bytes read in PRE_COPY`
          expectSameBytes(did, await readStream(destination), await readStream(source))
          await source.close()
          await destination.close()
        }
      },
    },
    {
      name: 'leases carry the same stream as reads',
      rule: 'lease and read show one stream; while a lease is out, read is EBUSY',
      body: async ({ open }) => {
        const device = await open()
        await device.setState(DeviceState.STOP)
        const stream = await readStream(device)
        const session = await openSession(device, DeviceState.STOP_COPY)
        const lease = await session.lease(5)
        expectThat(lease.length >= 1 && lease.length <= 5, 'lease(5)', '1 to 5 bytes', lease.length)
        await expectErrno('read while a lease is out', () => session.read(new Uint8Array(1)), 'EBUSY')
        expectSameBytes('lease(5)', lease, stream.subarray(0, lease.length))
        const first = lease.length
        await session.release()
        expectSameBytes('reads after the lease', await readToEnd(session), stream.subarray(first))
        expectSame('bytes of a lease at the end', (await session.lease(5)).length, 0)
      },
    },
    {
      name: 'windows load the same stream as writes',
      rule: 'window and commit fill the stream in order; while a window is out, write is EBUSY',
      body: async ({ open, donorStream }) => {
        const stream = await donorStream()
        const device = await open()
        const session = await openSession(device, DeviceState.RESUMING)
        for (let at = 0; at < stream.length;) {
          const window = await session.window(61)
          const byteLength = Math.min(window.length, stream.length - at)
          expectThat(window.length >= 1 && window.length <= 61, 'window(61)', '1 to 61 bytes', window.length)
          if (at === 0) await expectErrno('write while a window is out', () => session.write(stream), 'EBUSY')
          window.set(stream.subarray(at, at + byteLength))
          await session.commit(byteLength)
          at += byteLength
        }
        await device.setState(DeviceState.STOP)
        expectSameBytes('a save of the restored device', await readStream(device), stream)
      },
    },
    {
      name: 'a truncated stream is refused',
      rule: 'leaving RESUMING on missing bytes fails, the state is RESUMING or ERROR, and a reset recovers',
      body: async (bench) => {
        const stream = await bench.donorStream()
        const lengths = [0, 1, stream.length >> 2, stream.length >> 1, stream.length - 2, stream.length - 1]
        const device = await bench.open()
        for (const [turn, length] of lengths.entries()) {
          const session = await openSession(device, DeviceState.RESUMING)
          await writeInPieces(session, stream.subarray(0, length))
          const target = turn % 2 === 0 ? DeviceState.STOP : DeviceState.RUNNING
          await expectRefusedLoad(device, `${length} of ${stream.length} bytes`, target)
          await device.reset()
          expectSame('state after reset()', deviceStateName(await device.state()), 'RUNNING')
        }
        await loadStream(device, stream)
        expectSameBytes('a save after a whole stream was loaded', await readStream(device), stream)
      },
    },
    {
      name: 'a truncated stream that stays in RESUMING can be completed',
      rule: 'too few bytes is no failure of content: the rest may be written, and the arc tried again',
      body: async (bench) => {
        const stream = await bench.donorStream()
        const device = await bench.open()
        const session = await openSession(device, DeviceState.RESUMING)
        const half = stream.length >> 1
        await writeInPieces(session, stream.subarray(0, half))
        // Only ERROR is another legal answer, and it has no way back but a reset.
        if ((await expectRefusedLoad(device, 'half a stream')) === DeviceState.ERROR) return
        await writeInPieces(session, stream.subarray(half))
        await device.setState(DeviceState.STOP)
        expectSameBytes('a save of the restored device', await readStream(device), stream)
      },
    },
    {
      name: 'an extended stream is refused',
      rule: 'a byte past the end fails the write or the arc out of RESUMING',
      body: async (bench) => {
        const stream = await bench.donorStream()
        const extended = new Uint8Array(stream.length + 1)
        extended.set(stream)
        const device = await bench.open()
        for (const pieces of [[extended], [stream, Uint8Array.of(0)]]) {
          const session = await openSession(device, DeviceState.RESUMING)
          await expectErrno(`${pieces.length} writes with a byte too many, then setState(STOP)`, async () => {
            for (const piece of pieces) await writeInPieces(session, piece)
            await device.setState(DeviceState.STOP)
          })
          await device.reset()
        }
      },
    },
    {
      name: 'a damaged header is refused, and stays refused',
      rule: 'a stream of another device fails the write or the arc; after a failed write every later write fails, and the arc too',
      body: tryDamagedHeader,
    },
    {
      name: 'damage anywhere in a checked stream is refused',
      rule: 'every byte of the stopcopy format is covered by a checksum, which is verified before the state is believed',
      needs: ['checked-stream'],
      body: async (bench) => {
        const stream = await bench.donorStream()
        const device = await bench.open()
        const step = Math.max(1, Math.floor(stream.length / DAMAGED_PLACES))
        for (let at = 0, bit = 0; at < stream.length; at += step, bit++) {
          const damaged = stream.slice()
          damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit % 8))
          const session = await openSession(device, DeviceState.RESUMING)
          await expectErrno(`bit ${bit % 8} of byte ${at} flipped`, async () => {
            await writeInPieces(session, damaged)
            await device.setState(DeviceState.STOP)
          })
          await device.reset()
        }
      },
    },
  ]
}

/** Tries to leave RESUMING and expects to be refused; returns the state it is left in. */
async function expectRefusedLoad(
  device: MigrationDevice,
  what: string,
  target: DeviceState = DeviceState.STOP,
): Promise<DeviceState> {
  const did = `setState(${deviceStateName(target)}) on ${what}`
  await expectErrno(did, () => device.setState(target))
  const state = await device.state()
  const isHeld = state === DeviceState.RESUMING || state === DeviceState.ERROR
  expectThat(isHeld, `state after ${did}`, 'RESUMING or ERROR', deviceStateName(state))
  return state
}

async function tryDamagedHeader(bench: Bench): Promise<void> {
  const stream = await bench.donorStream()
  const damaged = stream.slice()
  damaged[0] = (damaged[0] ?? 0) ^ 1
  const device = await bench.open()
  const session = await openSession(device, DeviceState.RESUMING)
  let refusal: VfioError | undefined
  try {
    // Without the last byte, so that there is still something to write.
    await writeInPieces(session, damaged.subarray(0, -1))
  } catch (error) {
    if (!VfioError.is(error)) throw error
    refusal = error
  }
  const rest = damaged.subarray(-1)
  if (refusal === undefined) await session.write(rest)
  else await expectErrno(`a write after ${refusal.code}`, () => session.write(rest))
  await expectRefusedLoad(device, 'a stream with a damaged header')
  await device.reset()
  await loadStream(device, stream)
  expectSameBytes('a save after a whole stream was loaded', await readStream(device), stream)
}
