/**
 * A connection that breaks, lags or damages where it is told to, around a real one.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { Awaitable } from '../errors.ts'
import type { ByteDuplex } from '../transport/index.ts'

/** What happens to one direction; byte offsets are of that direction, from 0. */
export interface DirectionFaults {
  /** So many bytes get through, then the connection is cut. */
  cutAt?: number | undefined
  /** The lowest bit of this byte arrives the other way round. */
  corruptAt?: number | undefined
  /** Each call waits so long first. */
  delayMs?: number | undefined
}

/** What fails, and how. May be changed at any time. */
export interface DuplexFaults {
  /** Bytes that are written here. */
  write?: DirectionFaults | undefined
  /** Bytes that are read here. */
  read?: DirectionFaults | undefined
  /**
   * What a cut does: 'both' (default) ends both directions for both ends, 'one' only the direction it is in,
   * 'silent' loses all further bytes of that direction, and nobody is told.
   */
  cut?: 'both' | 'one' | 'silent' | undefined
}

/**
 * Wraps one end of a connection and injects failure.
 *
 * @example
 * ```ts
 * import { memoryPair, migrate, receive, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * import { FaultyDuplex } from 'stopcopy/testing'
 * const [here, there] = memoryPair()
 * const source = await VfioDevice.open(createMtty())
 * const faulty = new FaultyDuplex(here, { write: { cutAt: 500 } })
 * const receiving = receive(await VfioDevice.open(createMtty()), there).catch((error) => error.code)
 * await migrate(source, faulty).catch((error) => console.log(error.code)) // EPIPE: mtty runs on
 * console.log(await receiving, faulty.writtenBytes) // EPIPE 500
 * ```
 */
export class FaultyDuplex implements ByteDuplex {
  /** May be changed at any time. */
  readonly faults: DuplexFaults
  /** Bytes that got through, by direction. */
  writtenBytes = 0
  /** Bytes that got through to the reader. */
  readBytes = 0
  /** Absent in the wrapped end means that there are none, so it must be absent here too. */
  readonly lease?: (maxBytes: number) => Promise<Uint8Array>
  readonly release?: () => void
  readonly #duplex: ByteDuplex
  /** Calls that wait; a cut that nobody is told of holds them until they are given up. */
  readonly #waiting = new Set<() => void>()
  #isOver = false

  /** Wraps one end of a link. */
  constructor(duplex: ByteDuplex, faults: DuplexFaults = {}) {
    this.#duplex = duplex
    this.faults = { ...faults }
    if (duplex.lease === undefined) return
    this.lease = (maxBytes) => this.#lease(maxBytes)
    this.release = () => duplex.release?.()
  }

  /**
   * Writes what gets through.
   *
   * @throws {@link VfioError} EPIPE where the cut is; otherwise as the wrapped end
   */
  async write(chunks: Uint8Array[]): Promise<void> {
    const { write = {} } = this.faults
    await this.#delay(write)
    const { cutAt = Number.POSITIVE_INFINITY, corruptAt } = write
    const byteLength = chunks.reduce((total, { length }) => total + length, 0)
    const passing = Math.max(0, Math.min(byteLength, cutAt - this.writtenBytes))
    const through = damaged(firstBytes(chunks, passing), corruptAt, this.writtenBytes)
    this.writtenBytes += passing
    if (passing > 0) await this.#duplex.write(through)
    if (passing < byteLength) await this.#cut('write')
  }

  /**
   * Reads what gets through.
   *
   * @throws {@link VfioError} EPIPE where the cut is; otherwise as the wrapped end
   */
  async read(dst: Uint8Array): Promise<number> {
    const room = await this.#room(dst.length)
    const byteLength = await this.#duplex.read(dst.subarray(0, room))
    const at = (this.faults.read?.corruptAt ?? -1) - this.readBytes
    if (at >= 0 && at < byteLength) dst[at] = (dst[at] as number) ^ 1
    this.readBytes += byteLength
    return byteLength
  }

  close(): Awaitable<void> {
    // Whoever lost bytes of this direction does not see its end either.
    if (this.writtenBytes >= (this.faults.write?.cutAt ?? Number.POSITIVE_INFINITY)) return undefined
    return this.#duplex.close()
  }

  async abort(reason: unknown): Promise<void> {
    this.#letGo()
    await this.#duplex.abort(reason)
  }

  async cancel(reason: unknown): Promise<void> {
    this.#isOver = true
    this.#letGo()
    await this.#duplex.cancel(reason)
  }

  async #lease(maxBytes: number): Promise<Uint8Array> {
    const room = await this.#room(maxBytes)
    const bytes = await (this.#duplex.lease as (bytes: number) => Awaitable<Uint8Array>)(room)
    const [whole = bytes] = damaged([bytes], this.faults.read?.corruptAt, this.readBytes)
    this.readBytes += bytes.length
    return whole
  }

  /** How many bytes may be read, after the delay; cuts where none may. */
  async #room(wanted: number): Promise<number> {
    const { read = {} } = this.faults
    await this.#delay(read)
    const left = (read.cutAt ?? Number.POSITIVE_INFINITY) - this.readBytes
    if (left > 0) return Math.min(wanted, left)
    await this.#cut('read')
    return wanted
  }

  async #cut(direction: 'write' | 'read'): Promise<void> {
    const { cut = 'both' } = this.faults
    const reason = new VfioError(
      'EPIPE',
      `Cannot ${direction}: the connection was cut here, a fault injected`,
    )
    if (cut === 'silent') {
      if (direction === 'write') return
      if (!this.#isOver) await new Promise<void>((resolve) => this.#waiting.add(resolve))
      throw reason
    }
    if (cut === 'both' || direction === 'write') await this.#duplex.abort(reason)
    if (cut === 'both' || direction === 'read') await this.#duplex.cancel(reason)
    throw reason
  }

  async #delay({ delayMs = 0 }: DirectionFaults): Promise<void> {
    if (delayMs <= 0 || this.#isOver) return
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, delayMs)
      this.#waiting.add(resolve)
    })
    clearTimeout(timer)
  }

  #letGo(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

/** The first `byteLength` bytes of `chunks`. */
function firstBytes(chunks: readonly Uint8Array[], byteLength: number): Uint8Array[] {
  let left = byteLength
  return chunks.flatMap((chunk) => {
    const part = chunk.subarray(0, left)
    left -= part.length
    return part.length > 0 ? [part] : []
  })
}

/** `chunks`, of which the first byte has offset `from`, with one byte damaged: in a copy. */
function damaged(chunks: Uint8Array[], corruptAt: number | undefined, from: number): Uint8Array[] {
  if (corruptAt === undefined) return chunks
  let at = corruptAt - from
  return chunks.map((chunk) => {
    const place = at
    at -= chunk.length
    if (place < 0 || place >= chunk.length) return chunk
    const copy = new Uint8Array(chunk)
    copy[place] = (copy[place] as number) ^ 1
    return copy
  })
}
