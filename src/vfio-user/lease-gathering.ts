/**
 * The next bytes of a saving session in one piece of a message, where they lie.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import { POLLIN } from '../uapi/poll.ts'
import { refusal } from './command-answer.ts'
import { type Patience, ReadyInTime } from './ready-in-time.ts'

/** Most leases of one message; more are copied together. */
const MOST_LEASES = 64

/** Bytes of a session; they stay as they are until they are released. */
export interface GatheredBytes {
  readonly chunks: readonly Uint8Array[]
  readonly byteLength: number
  release(): Promise<void>
}

/**
 * Takes exactly `byteLength` bytes, or fewer where the stream ends, in PRE_COPY for now, or the device is not ready in
 * time.
 *
 * @param earlier - settles when all that was gathered of this session before was released: a session takes back its
 * oldest lease, and those may still be shown by a message that is being written
 * @throws {@link VfioError} EAGAIN nothing in time; as the session's `lease`; then nothing is out. Rejects with the signal's reason
 */
export async function gatherLeases(
  session: MigrationSession,
  byteLength: number,
  patience: Patience,
  earlier: Promise<void>,
): Promise<GatheredBytes> {
  const gathering = new Gathering(session, byteLength, earlier)
  const ready = new ReadyInTime(session, POLLIN, patience)
  try {
    while (gathering.byteLength < byteLength) {
      const what = await gathering.more()
      if (what === 'end') break
      if (what === 'later' && !(await gathering.copyOut())) {
        if (!(await ready.wait())) {
          if (gathering.byteLength > 0) break
          throw refusal('the device has nothing to read yet, ask again', 'EAGAIN')
        }
      }
      patience.signal.throwIfAborted()
    }
  } catch (error) {
    await gathering.release()
    throw error
  }
  return gathering
}

class Gathering implements GatheredBytes {
  readonly #session: MigrationSession
  readonly #wantedBytes: number
  readonly #earlier: Promise<void>
  #leases: Uint8Array[] = []
  /** Leases that did not fit are copied to here, and given back. */
  #copy: Uint8Array | undefined
  #copiedBytes = 0
  #leasedBytes = 0

  constructor(session: MigrationSession, wantedBytes: number, earlier: Promise<void>) {
    this.#session = session
    this.#wantedBytes = wantedBytes
    this.#earlier = earlier
  }

  get byteLength(): number {
    return this.#copiedBytes + this.#leasedBytes
  }

  get chunks(): Uint8Array[] {
    const copied = this.#copy?.subarray(0, this.#copiedBytes)
    return copied === undefined ? this.#leases : [copied, ...this.#leases]
  }

  async more(): Promise<'data' | 'end' | 'later'> {
    let bytes: Uint8Array
    try {
      const lease = this.#session.lease(this.#wantedBytes - this.byteLength)
      bytes = lease instanceof Promise ? await lease : lease
    } catch (error) {
      if (VfioError.is(error, 'ENOMSG')) return 'end'
      if (VfioError.is(error, 'EAGAIN')) return 'later'
      throw error
    }
    if (bytes.length === 0) return 'end'
    this.#leases.push(bytes)
    this.#leasedBytes += bytes.length
    if (this.#leases.length >= MOST_LEASES) await this.copyOut()
    return 'data'
  }

  /** Copies the leases that are out and gives them back; false when none is. */
  async copyOut(): Promise<boolean> {
    if (this.#leases.length === 0) return false
    const copy = (this.#copy ??= new Uint8Array(this.#wantedBytes))
    for (const lease of this.#leases) {
      copy.set(lease, this.#copiedBytes)
      this.#copiedBytes += lease.length
    }
    await this.release()
    return true
  }

  async release(): Promise<void> {
    const count = this.#leases.length
    this.#leases = []
    this.#leasedBytes = 0
    if (count > 0) await this.#earlier
    for (let left = count; left > 0; left--) {
      try {
        const released = this.#session.release()
        if (released !== undefined) await released
      } catch (error) {
        // The session is closed and the device with it: nothing is out any more.
        if (!VfioError.is(error)) throw error
      }
    }
  }
}
