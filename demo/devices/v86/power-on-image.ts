/**
 * What a machine holds when it is switched on, to be put back by a reset: the BIOS, and a kernel that the
 * emulator loads itself, lie in RAM; the rest of the machine is its device state.
 *
 * @module
 */

import { readDeviceState, restoreDeviceState, saveDeviceState } from './device-state.ts'
import type { V86Core } from './internals.ts'

const PAGE_BYTES = 4096

/** A stretch of RAM that is not zero. */
interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** The content of one machine at its creation. */
export class PowerOnImage {
  readonly #pieces: readonly Piece[]
  readonly #state: Uint8Array
  #isThere = true

  /** @param stateBytes - room for the device state */
  constructor(core: V86Core, ram: Uint8Array, stateBytes: number) {
    const room = new Uint8Array(stateBytes)
    this.#state = room.slice(0, saveDeviceState(core, room))
    this.#pieces = piecesOf(ram)
  }

  /** The machine runs, or takes what another one held: its content is not this any more. */
  leave(): void {
    this.#isThere = false
  }

  /** Puts it back, if anything else is there. */
  restore(core: V86Core, ram: Uint8Array, video: Uint8Array): void {
    if (this.#isThere) return
    // Pages that are zero stay untouched, and cost neither memory nor time in a scan.
    clearPages(ram)
    clearPages(video)
    for (const { offset, bytes } of this.#pieces) ram.set(bytes, offset)
    restoreDeviceState(core, readDeviceState(this.#state, core))
  }
}

function piecesOf(ram: Uint8Array): Piece[] {
  const pieces: Piece[] = []
  let from = -1
  for (let at = 0; at <= ram.length; at += PAGE_BYTES) {
    const isZero = at === ram.length || isZeroPage(ram, at)
    if (!isZero && from < 0) from = at
    if (!isZero || from < 0) continue
    pieces.push({ offset: from, bytes: ram.slice(from, at) })
    from = -1
  }
  return pieces
}

function clearPages(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += PAGE_BYTES)
    if (!isZeroPage(bytes, at)) bytes.fill(0, at, at + PAGE_BYTES)
}

/** By words: a byte at a time takes four times as long. */
function isZeroPage({ buffer, byteOffset }: Uint8Array, at: number): boolean {
  const words = new Int32Array(buffer, byteOffset + at, PAGE_BYTES / 4)
  for (let n = 0; n < words.length; n++) if (words[n] !== 0) return false
  return true
}
