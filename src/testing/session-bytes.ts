/**
 * Whole streams in and out of a data session, in chosen pieces.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import { POLLIN, POLLOUT } from '../uapi/poll.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'
import { Mismatch } from './expectation.ts'

/** One size: large enough that a stream takes few calls. */
const WHOLE_PIECES: readonly number[] = [65536]

/** A stream with no end must fail a case, not hang it. Whole pieces read 16 GiB with as many. */
const MAX_READS = 2 ** 18

/** Odd sizes, used round robin: below, across and above every header of a stream. */
export const ODD_PIECES: readonly number[] = [1, 2, 3, 5, 7, 13, 61, 4093, 30011]
/** Other odd sizes, so that a restore never repeats the cuts of the save. */
export const OTHER_ODD_PIECES: readonly number[] = [13, 1, 29, 4, 1021, 2, 65521]

/** Runs `call` again each time the session becomes ready, as long as it is EAGAIN. */
async function retry<T>(session: MigrationSession, events: number, call: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!VfioError.is(error, 'EAGAIN')) throw error
      await session.ready(events)
    }
  }
}

/** Reads to the permanent end: a session in STOP_COPY. */
export async function readToEnd(
  session: MigrationSession,
  pieces: readonly number[] = WHOLE_PIECES,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for (let turn = 0; turn < MAX_READS; turn++) {
    const dst = new Uint8Array(pieces[turn % pieces.length] ?? 1)
    const byteLength = await retry(session, POLLIN, () => session.read(dst))
    if (byteLength === 0) return concatenate(chunks)
    // Copied, so that a short read does not hold a whole buffer.
    chunks.push(dst.slice(0, byteLength))
  }
  throw new Mismatch(`reads in STOP_COPY: expected the end of the stream, got ${MAX_READS} reads without it`)
}

/** Reads up to `byteLength` bytes of a session in STOP_COPY. */
export async function readBytes(session: MigrationSession, byteLength: number): Promise<Uint8Array> {
  const dst = new Uint8Array(byteLength)
  let filled = 0
  while (filled < byteLength) {
    const count = await retry(session, POLLIN, () => session.read(dst.subarray(filled)))
    if (count === 0) break
    filled += count
  }
  return dst.subarray(0, filled)
}

/** What {@link readToIdle} read, and how it ended. */
export interface IdleRead {
  readonly stream: Uint8Array
  /** 'busy': the device made data faster than it was read. */
  readonly end: 'ENOMSG' | 'zero' | 'busy'
}

/** Reads a session in PRE_COPY to its temporary end, or until `limitBytes` were read. */
export async function readToIdle(session: MigrationSession, limitBytes: number): Promise<IdleRead> {
  const chunks: Uint8Array[] = []
  let total = 0
  while (total < limitBytes) {
    const dst = new Uint8Array(Math.min(65536, limitBytes - total))
    try {
      const byteLength = await retry(session, POLLIN, () => session.read(dst))
      if (byteLength === 0) return { stream: concatenate(chunks), end: 'zero' }
      chunks.push(dst.slice(0, byteLength))
      total += byteLength
    } catch (error) {
      if (!VfioError.is(error, 'ENOMSG')) throw error
      return { stream: concatenate(chunks), end: 'ENOMSG' }
    }
  }
  return { stream: concatenate(chunks), end: 'busy' }
}

/** Writes all of `stream`. */
export async function writeInPieces(
  session: MigrationSession,
  stream: Uint8Array,
  pieces: readonly number[] = WHOLE_PIECES,
): Promise<void> {
  let turn = 0
  for (let at = 0; at < stream.length; turn++) {
    const piece = stream.subarray(at, at + (pieces[turn % pieces.length] ?? 1))
    const byteLength = await retry(session, POLLOUT, () => session.write(piece))
    if (byteLength <= 0 || byteLength > piece.length) {
      throw new Mismatch(`write of ${piece.length} bytes: expected 1 to ${piece.length}, got ${byteLength}`)
    }
    at += byteLength
  }
}

/** Opens the session of `state`, STOP_COPY, RESUMING or a PRE_COPY state, from outside its group. */
export async function openSession(device: MigrationDevice, state: DeviceState): Promise<MigrationSession> {
  const session = await device.setState(state)
  if (session !== undefined) return session
  throw new Mismatch(`setState(${deviceStateName(state)}): expected a session, got none`)
}

/** Enters STOP_COPY, reads the whole stream and stops: what the device holds, as bytes. */
export async function readStream(device: MigrationDevice, pieces?: readonly number[]): Promise<Uint8Array> {
  const stream = await readToEnd(await openSession(device, DeviceState.STOP_COPY), pieces)
  await device.setState(DeviceState.STOP)
  return stream
}

/** Enters RESUMING, writes the whole stream and stops, which loads it. */
export async function loadStream(
  device: MigrationDevice,
  stream: Uint8Array,
  pieces?: readonly number[],
): Promise<void> {
  await writeInPieces(await openSession(device, DeviceState.RESUMING), stream, pieces)
  await device.setState(DeviceState.STOP)
}

/** Joins chunks into one array. */
export function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(chunks.reduce((total, { length }) => total + length, 0))
  let at = 0
  for (const chunk of chunks) {
    joined.set(chunk, at)
    at += chunk.length
  }
  return joined
}
