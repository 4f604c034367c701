/**
 * What a machine holds when it is switched on, to be put back by a reset: the BIOS, and a kernel that the
 * emulator loads itself, lie in RAM; the rest of the machine is its device state.
 *
 * @module
 */

import { restoreDeviceState, saveDeviceState } from './device-state.ts'
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

  constructor(core: V86Core, ram: Uint8Array) {
    this.#state = saveDeviceState(core)
    this.#pieces = piecesOf(ram)
  }

  /** The machine runs, or takes what another one held: its content is not this any more. */
  leave(): void {
    this.#isThere = false
  }

  /** Puts it back, if anything else is there. */
  restore(core: V86Core, ram: Uint8Array, video: Uint8Array): void {
    if (this.#isThere) return
    ram.fill(0)
    video.fill(0)
    for (const { offset, bytes } of this.#pieces) ram.set(bytes, offset)
    restoreDeviceState(core, this.#state)
  }
}

function piecesOf(ram: Uint8Array): Piece[] {
  const pieces: Piece[] = []
  let from = -1
  for (let at = 0; at <= ram.length; at += PAGE_BYTES) {
    const isZero = at === ram.length || ram.subarray(at, at + PAGE_BYTES).every((byte) => byte === 0)
    if (!isZero && from < 0) from = at
    if (!isZero || from < 0) continue
    pieces.push({ offset: from, bytes: ram.slice(from, at) })
    from = -1
  }
  return pieces
}
