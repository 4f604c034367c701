/**
 * A relay between the two ends of a migration that knows its frames: it passes each on, loses it, repeats it,
 * holds it up or damages it, as a test says.
 *
 * @module
 */

import { FRAME_HEADER_BYTES } from '../../src/migrate/handover/frame.ts'
import { messageName } from '../../src/migrate/handover/message-type.ts'
import { type ByteDuplex, memoryPair } from '../../src/transport/index.ts'

/** A frame on its way. */
export interface PassingFrame {
  readonly connection: number
  readonly direction: 'to' | 'back'
  /** Such as 'COMMIT'. */
  readonly name: string
  /** How many of this type went this way over this connection before it. */
  readonly nth: number
  /** How many frames of any type did. */
  readonly number: number
  /** Bytes before it. */
  readonly offset: number
  readonly payloadBytes: number
}

/** What becomes of a frame. */
export type Fate =
  | 'pass'
  | 'lose'
  | 'twice'
  | 'damage-header'
  | 'damage-payload'
  | 'cut-before'
  | 'cut-after'
  /** This direction alone is cut before it: the other lives on. */
  | 'cut-way'
  /** From here on everything of this direction is lost, and nobody is told. */
  | 'black-hole'
  /** The direction stands still for so long. */
  | { readonly delayMs: number }
  /** Frames behind it overtake it. */
  | { readonly overtakenForMs: number }

/** What a relay has seen and done. */
export interface FaultyLink {
  /** For `migrate`. */
  readonly here: readonly ByteDuplex[]
  /** For the receiver. */
  readonly there: readonly ByteDuplex[]
  readonly frames: readonly PassingFrame[]
  /** Whether the source wrote the first byte of COMMIT. */
  readonly commitBegun: boolean
  /** Gives all connections up. */
  end(): Promise<void>
}

/** Connects two ends by `connections` relayed connections. */
export function faultyLink(
  connections: number,
  fateOf: (frame: PassingFrame) => Fate,
  onCommit: () => void = () => {},
  wrapHere: (end: ByteDuplex, connection: number) => ByteDuplex = (end) => end,
  wrapThere: (end: ByteDuplex, connection: number) => ByteDuplex = (end) => end,
): FaultyLink {
  const here: ByteDuplex[] = []
  const there: ByteDuplex[] = []
  const relays: Relay[] = []
  const frames: PassingFrame[] = []
  let commitBegun = false
  for (let connection = 0; connection < connections; connection++) {
    const [sourceEnd, left] = memoryPair()
    const [right, destinationEnd] = memoryPair()
    const seen = (frame: PassingFrame): Fate => {
      frames.push(frame)
      return fateOf(frame)
    }
    relays.push(new Relay(left, right, connection, seen))
    // Outermost: what the source begins to write counts, whatever becomes of it.
    here.push(
      watchWrites(wrapHere(sourceEnd, connection), (name) => {
        if (name !== 'COMMIT') return
        commitBegun = true
        onCommit()
      }),
    )
    there.push(wrapThere(destinationEnd, connection))
  }
  return {
    here,
    there,
    frames,
    get commitBegun() {
      return commitBegun
    },
    end: async () => void (await Promise.all(relays.map((relay) => relay.end()))),
  }
}

/** Tells the type of every frame as its first byte is about to be written. */
export function watchWrites(duplex: ByteDuplex, onFrame: (name: string) => void): ByteDuplex {
  return {
    write: (chunks) => {
      const [header] = chunks
      if (header !== undefined) onFrame(nameOf(header))
      return duplex.write(chunks)
    },
    close: () => duplex.close(),
    abort: (reason) => duplex.abort(reason),
    read: (dst) => duplex.read(dst),
    ...(duplex.lease === undefined ? {} : { lease: (maxBytes: number) => duplex.lease!(maxBytes) }),
    ...(duplex.release === undefined ? {} : { release: () => duplex.release!() }),
    cancel: (reason) => duplex.cancel(reason),
  }
}

function nameOf(header: Uint8Array): string {
  return messageName((header[6] ?? 0) | ((header[7] ?? 0) << 8))
}

/** One connection. */
class Relay {
  readonly #left: ByteDuplex
  readonly #right: ByteDuplex
  readonly #timers = new Map<ReturnType<typeof setTimeout>, () => void>()
  readonly #pumping: Promise<unknown>

  constructor(
    left: ByteDuplex,
    right: ByteDuplex,
    connection: number,
    fateOf: (frame: PassingFrame) => Fate,
  ) {
    this.#left = left
    this.#right = right
    const pump = async (from: ByteDuplex, to: ByteDuplex, direction: 'to' | 'back'): Promise<void> => {
      try {
        await this.#pump(from, to, (header, counts) =>
          fateOf({ connection, direction, ...header, ...counts }),
        )
        await to.close()
      } catch (error) {
        await to.abort(error)
        await from.cancel(error)
      }
    }
    this.#pumping = Promise.all([pump(left, right, 'to'), pump(right, left, 'back')])
  }

  async end(): Promise<void> {
    await this.#cut()
    await this.#pumping
  }

  async #pump(
    from: ByteDuplex,
    to: ByteDuplex,
    fateOf: (
      header: { name: string; payloadBytes: number },
      counts: { nth: number; number: number; offset: number },
    ) => Fate,
  ): Promise<void> {
    const seen = new Map<string, number>()
    let offset = 0
    let isLost = false
    let tail: Promise<unknown> = Promise.resolve()
    // One write at a time; what was overtaken comes in between.
    const write = (bytes: Uint8Array): Promise<void> => {
      const writing = tail.then(() => to.write([bytes]))
      tail = writing.catch(() => {})
      return writing
    }
    for (let number = 0; ; number++) {
      const header = await readFully(from, FRAME_HEADER_BYTES)
      if (header === undefined) return
      const name = nameOf(header)
      const payloadBytes = new DataView(header.buffer).getUint32(28, true)
      const payload = await readFully(from, payloadBytes)
      // Cut inside a frame, by one of the ends.
      if (payload === undefined) return
      const frame = Buffer.concat([header, payload])
      const nth = seen.get(name) ?? 0
      seen.set(name, nth + 1)
      const fate = isLost ? 'lose' : fateOf({ name, payloadBytes }, { nth, number, offset })
      offset += frame.length
      if (fate === 'pass') await write(frame)
      else if (fate === 'twice') await write(Buffer.concat([frame, frame]))
      else if (fate === 'damage-header') await write(damage(frame, 1 + ((number * 7) % 63)))
      else if (fate === 'damage-payload')
        await write(
          payloadBytes > 0 ? damage(frame, FRAME_HEADER_BYTES + (payloadBytes >> 1)) : damage(frame, 40),
        )
      else if (fate === 'cut-before') return this.#cut()
      else if (fate === 'cut-way') {
        await to.abort(new Error('cut'))
        await from.cancel(new Error('cut'))
        return
      } else if (fate === 'cut-after') {
        await write(frame)
        return this.#cut()
      } else if (fate === 'black-hole') isLost = true
      else if (fate !== 'lose') {
        if ('delayMs' in fate) {
          await this.#wait(fate.delayMs)
          await write(frame)
        } else
          void this.#wait(fate.overtakenForMs)
            .then(() => write(frame))
            .catch(() => {})
      }
    }
  }

  async #cut(): Promise<void> {
    const reason = new Error('the relay cut the connection')
    for (const [timer, resolve] of this.#timers) {
      clearTimeout(timer)
      resolve()
    }
    this.#timers.clear()
    for (const end of [this.#left, this.#right]) {
      await end.abort(reason)
      await end.cancel(reason)
    }
  }

  async #wait(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer)
        resolve()
      }, delayMs)
      this.#timers.set(timer, resolve)
    })
  }
}

async function readFully(from: ByteDuplex, byteLength: number): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(byteLength)
  for (let filled = 0; filled < byteLength;) {
    const read = await from.read(bytes.subarray(filled))
    if (read === 0) return undefined
    filled += read
  }
  return bytes
}

function damage(frame: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(frame)
  copy[at] = (copy[at] as number) ^ 0x10
  return copy
}

/** Requests of the source and answers of the destination. */
export const TO_DESTINATION = [
  'HELLO',
  'ATTACH',
  'DATA',
  'INITIAL_SENT',
  'END',
  'COMMIT',
  'CANCEL',
  'PING',
] as const
export const BACK_TO_SOURCE = [
  'WELCOME',
  'REFUSED',
  'INITIAL_LOADED',
  'READY',
  'RUNNING',
  'FAILED',
  'DISCARDED',
  'PONG',
] as const
