/**
 * Answers MIG_DATA_READ and MIG_DATA_WRITE: the device's stream by request and reply.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import { POLLOUT } from '../uapi/poll.ts'
import { type Answer, HEADER_ONLY, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { type Patience, ReadyInTime } from './ready-in-time.ts'
import type { ServedClient } from './served-client.ts'
import { MigData, readMigData, writeMigData } from './structs.ts'
import { DEFAULT_MAX_DATA_BYTES } from './version.ts'

const ZEROS = new Uint8Array(65_536)

/**
 * The next bytes of the device's stream: as many as were asked for, unless the data ends; no bytes are the end, in
 * PRE_COPY the end for now. The reply is as long as was asked for, zeros behind the data (quirk
 * `padMigDataReplies`).
 *
 * @throws {@link VfioError} EINVAL no saving session; more than a message of the client or of this server has; argsz
 * that does not cover the reply; the session's own
 */
export async function serveMigDataRead(command: QueuedCommand, client: ServedClient): Promise<Answer> {
  const { size } = sizesOf(command, client)
  const { saved, isStopped } = client.migration
  if (saved === undefined) throw refusal('the device is not saving, enter PRE_COPY or STOP_COPY')
  const gathered = await saved.take(size, patienceOf(client))
  const { chunks, byteLength } = gathered
  const padding = client.settings.quirks.padMigDataReplies ? zeros(size - byteLength) : []
  const head = new Uint8Array(MigData.byteLength)
  writeMigData(head, 0, byteLength)
  const idle = (): void => {
    if (isStopped && byteLength === size && size > 0) saved.prepare(size, patienceOf(client))
  }
  return { chunks: [head, ...chunks, ...padding], sent: () => gathered.release(), idle }
}

/**
 * The next bytes of a stream for the device.
 *
 * @throws {@link VfioError} EINVAL no resuming session, sizes as for reading, fewer bytes than announced; the
 * session's own
 */
export async function serveMigDataWrite(command: QueuedCommand, client: ServedClient): Promise<Answer> {
  const { size } = sizesOf(command, client)
  const { payload } = command
  if (payload.length < MigData.byteLength + size)
    throw refusal(`${payload.length - MigData.byteLength} bytes of data, send size, which is ${size}`)
  const session = client.migration.resuming
  if (session === undefined) throw refusal('the device is not being loaded, enter RESUMING')
  if (size > 0)
    await writeAll(session, payload.subarray(MigData.byteLength, MigData.byteLength + size), client)
  return HEADER_ONLY
}

function sizesOf({ payload }: QueuedCommand, { settings, version }: ServedClient): MigData {
  if (payload.length < MigData.byteLength)
    throw refusal(`the payload has ${payload.length} bytes, send ${MigData.byteLength}`)
  const head = readMigData(payload)
  const { argsz, size } = head
  const most = Math.min(
    settings.maxDataBytes,
    version?.capabilities.max_data_xfer_size ?? DEFAULT_MAX_DATA_BYTES,
  )
  if (size > most) throw refusal(`${size} bytes at once, transfer ${most} at most`)
  if (argsz < MigData.byteLength + size)
    throw refusal(`argsz is ${argsz}, set it to ${MigData.byteLength + size} or more`)
  return head
}

async function writeAll(session: MigrationSession, bytes: Uint8Array, client: ServedClient): Promise<void> {
  const ready = new ReadyInTime(session, POLLOUT, patienceOf(client))
  for (;;) {
    try {
      const byteLength = await session.write(bytes)
      if (byteLength !== bytes.length) throw refusal(`the device took ${byteLength} of ${bytes.length} bytes`)
      return
    } catch (error) {
      if (!VfioError.is(error, 'EAGAIN')) throw error
    }
    if (!(await ready.wait())) throw refusal('the device takes nothing yet, send it again', 'EAGAIN')
  }
}

function* zeros(byteLength: number): Generator<Uint8Array> {
  for (let left = byteLength; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left)
}

function patienceOf({ gone, settings }: ServedClient): Patience {
  return { signal: gone, waitMs: settings.readyTimeoutMs }
}
