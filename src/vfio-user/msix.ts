/**
 * MSI-X: its capability, and the table behind a BAR that the server keeps for it.
 *
 * ```text
 * the BAR:  0 table, 16 bytes a vector ... | half: pending bits, all zero | end
 * entry:    0 u64 address | 8 u32 data | 12 u32 control (bit 0: masked)
 * ```
 * Whoever serves the function signals by file descriptors, and its client holds back what is masked, so that no
 * vector is pending here.
 *
 * @module
 */

import type { PciBar } from '../device/pci-function.ts'
import type { PciCapability } from './pci-capabilities.ts'
import { RegisterFile } from './register-file.ts'

const ENTRY_BYTES = 16
const PAGE_BYTES = 4096
const ENABLE = 1 << 15
const FUNCTION_MASK = 1 << 14

/** What software has set up of MSI-X, and its BAR. */
export interface MsixState {
  readonly enabled: boolean
  readonly vectors: number
  /** The BAR of table and pending bits; no region of the device stands behind it. */
  readonly bar: PciBar
  /** By the vector's own bit, or as all vectors are. */
  isMasked(vector: number): boolean
  /** Fills `dst` from the BAR; bounds are the caller's. */
  readBar(offset: number, dst: Uint8Array): void
  /** Stores `src` in the BAR, as far as it can be written; bounds are the caller's. */
  writeBar(offset: number, src: Uint8Array): void
}

/** See the module. */
export class Msix implements PciCapability, MsixState {
  readonly id = 0x11
  readonly byteLength = 12
  readonly vectors: number
  readonly bar: PciBar
  readonly #table: RegisterFile
  #registers: RegisterFile | undefined
  #at = 0

  /**
   * @param vectors - 1 to 2048
   * @param index - a BAR that is free
   */
  constructor(vectors: number, index: number) {
    this.vectors = vectors
    this.#table = new RegisterFile(vectors * ENTRY_BYTES)
    for (let at = 0; at < this.#table.byteLength; at += ENTRY_BYTES) {
      this.#table.define(at, 4, 0, 0xffff_fffc)
      this.#table.define(at + 4, 4, 0, 0xffff_ffff)
      this.#table.define(at + 8, 4, 0, 0xffff_ffff)
      this.#table.define(at + 12, 4, 1, 1)
    }
    // The pending bits, an eighth of a byte a vector, fit into the upper half of twice the table.
    const byteLength = Math.max(PAGE_BYTES, 2 ** Math.ceil(Math.log2(this.#table.byteLength)) * 2)
    this.bar = { index, kind: 'memory', byteLength }
  }

  define(registers: RegisterFile, at: number): void {
    this.#registers = registers
    this.#at = at
    registers.define(at + 2, 2, this.vectors - 1, ENABLE | FUNCTION_MASK)
    registers.define(at + 4, 4, this.bar.index)
    registers.define(at + 8, 4, (this.bar.byteLength / 2) | this.bar.index)
  }

  get enabled(): boolean {
    return (this.#control & ENABLE) !== 0
  }

  isMasked(vector: number): boolean {
    return (this.#control & FUNCTION_MASK) !== 0 || (this.#table.u16(vector * ENTRY_BYTES + 12) & 1) !== 0
  }

  readBar(offset: number, dst: Uint8Array): void {
    dst.fill(0)
    const byteLength = Math.min(dst.length, this.#table.byteLength - offset)
    if (byteLength > 0) this.#table.read(offset, dst.subarray(0, byteLength))
  }

  writeBar(offset: number, src: Uint8Array): void {
    const byteLength = Math.min(src.length, this.#table.byteLength - offset)
    if (byteLength > 0) this.#table.write(offset, src.subarray(0, byteLength))
  }

  /** The table as after a reset: every vector masked. */
  reset(): void {
    this.#table.reset()
  }

  get #control(): number {
    return this.#registers?.u16(this.#at + 2) ?? 0
  }
}
