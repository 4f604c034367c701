/**
 * The stream of a saving session, cut into replies. While the client looks at one reply, the next one of the same
 * size is gathered: what it costs to frame and sum it is not waited for.
 *
 * @module
 */

import type { MigrationSession } from '../session/migration-session.ts'
import { type GatheredBytes, gatherLeases } from './lease-gathering.ts'
import type { Patience } from './ready-in-time.ts'

const NONE = new Uint8Array(0)

/** Bytes ahead of the request for them. */
interface Ahead {
  readonly byteLength: number
  readonly gathered: Promise<GatheredBytes>
}

/** One session's bytes; one caller at a time. */
export class SavedBytes {
  readonly session: MigrationSession
  #ahead: Ahead | undefined
  #aheadBytes = 0
  /** Of what was gathered for a request of another size: copied, so that its leases could be given back. */
  #rest: Uint8Array = NONE
  /** Settles when all that was gathered so far was released. */
  #released: Promise<void> = Promise.resolve()

  constructor(session: MigrationSession) {
    this.session = session
  }

  /** Bytes that the session has given and no request has asked for yet. */
  get unsentBytes(): number {
    return this.#aheadBytes + this.#rest.length
  }

  /** The next `byteLength` bytes, fewer at the end; as `gatherLeases`. */
  async take(byteLength: number, patience: Patience): Promise<GatheredBytes> {
    const ahead = this.#ahead
    if (ahead !== undefined) {
      this.#ahead = undefined
      const gathered = await ahead.gathered.finally(() => (this.#aheadBytes = 0))
      if (ahead.byteLength === byteLength && this.#rest.length === 0) return gathered
      this.#rest = copied([this.#rest, ...gathered.chunks])
      await gathered.release()
    }
    const first = this.#rest.subarray(0, byteLength)
    const left = this.#rest.subarray(first.length)
    if (first.length === 0) return this.#gather(byteLength, patience)
    if (first.length === byteLength) {
      this.#rest = left
      return { chunks: [first], byteLength, release: async () => {} }
    }
    const more = await this.#gather(byteLength - first.length, patience)
    this.#rest = left
    return {
      chunks: [first, ...more.chunks],
      byteLength: first.length + more.byteLength,
      release: () => more.release(),
    }
  }

  /** Gathers what the next request of the same size will ask for. Only of a device that has stopped. */
  prepare(byteLength: number, patience: Patience): void {
    if (this.#ahead !== undefined || this.#rest.length > 0) return
    const gathered = this.#gather(byteLength, patience)
    this.#ahead = { byteLength, gathered }
    void this.#count(gathered)
  }

  async #gather(byteLength: number, patience: Patience): Promise<GatheredBytes> {
    const earlier = this.#released
    let done!: () => void
    const own = new Promise<void>((resolve) => (done = resolve))
    this.#released = earlier.then(() => own)
    try {
      const gathered = await gatherLeases(this.session, byteLength, patience, earlier)
      const release = (): Promise<void> => gathered.release().finally(done)
      return { chunks: gathered.chunks, byteLength: gathered.byteLength, release }
    } catch (error) {
      done()
      throw error
    }
  }

  async #count(gathered: Promise<GatheredBytes>): Promise<void> {
    try {
      const { byteLength } = await gathered
      if (this.#ahead?.gathered === gathered) this.#aheadBytes = byteLength
    } catch {
      // Told to whoever asks for these bytes.
    }
  }

  /** Nobody will ask any more. */
  async drop(): Promise<void> {
    const ahead = this.#ahead
    this.#ahead = undefined
    this.#aheadBytes = 0
    this.#rest = NONE
    await ahead?.gathered.then(
      (bytes) => bytes.release(),
      () => {},
    )
  }
}

function copied(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}
