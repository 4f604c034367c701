/**
 * The capabilities of a PCI function, each a block of registers in configuration space: power management,
 * PCI Express and MSI. MSI-X stands in `msix.ts`.
 *
 * @module
 */

import type { RegisterFile } from './register-file.ts'

/** A block of the capability chain; its first two bytes, id and next, are the chain's. */
export interface PciCapability {
  readonly id: number
  readonly byteLength: number
  /** Defines its registers. */
  define(registers: RegisterFile, at: number): void
  /** After a write and a reset: takes back what the function does not support. */
  settle?(): void
}

const POWER_STATE = 3
const D3_HOT = 3
const NO_SOFT_RESET = 1 << 3

/** Power management 1.2: D0 and D3hot, which loses nothing; no PME. */
export class PowerManagement implements PciCapability {
  readonly id = 0x01
  readonly byteLength = 8
  #registers: RegisterFile | undefined
  #at = 0
  #state = 0

  define(registers: RegisterFile, at: number): void {
    this.#registers = registers
    this.#at = at + 4
    registers.define(at + 2, 2, 3)
    registers.define(at + 4, 2, NO_SOFT_RESET, POWER_STATE)
  }

  /** Whether the function has full power. */
  get isInD0(): boolean {
    return this.#state === 0
  }

  /** D1 and D2 are not there: the specification drops a write of them. */
  settle(): void {
    const state = (this.#registers?.u16(this.#at) ?? 0) & POWER_STATE
    if (state === 0 || state === D3_HOT) this.#state = state
    else this.#registers?.put(this.#at, POWER_STATE, this.#state)
  }
}

/** Relaxed ordering and no snoop allowed, reads of 512 bytes: what the specification has after a reset. */
const DEVICE_CONTROL = 0x2810
/** Error reporting, relaxed ordering, no snoop, read size; payload size and extended tags are fixed. */
const DEVICE_CONTROL_WRITABLE = 0x781f
const ROLE_BASED_ERRORS = 1 << 15
/** 2.5 GT/s, one lane. */
const LINK = 0x11
const ASPM_OPTIONALITY = 1 << 22
/** ASPM, read completion boundary, common clock, extended synch. */
const LINK_CONTROL_WRITABLE = 0x00cb
const COMPLETION_TIMEOUT_DISABLE = 1 << 4
const SPEEDS = 1 << 1

/** PCI Express, version 2 of the structure: an endpoint on a link of one lane. */
export class ExpressEndpoint implements PciCapability {
  readonly id = 0x10
  readonly byteLength = 60
  readonly #legacy: boolean

  /** @param legacy - a legacy endpoint, which is one that has I/O ports */
  constructor(legacy: boolean) {
    this.#legacy = legacy
  }

  define(registers: RegisterFile, at: number): void {
    registers.define(at + 2, 2, 2 | (this.#legacy ? 1 << 4 : 0))
    // No function level reset: a reset is the bus's business here (DEVICE_RESET).
    registers.define(at + 4, 4, ROLE_BASED_ERRORS)
    registers.define(at + 8, 2, DEVICE_CONTROL, DEVICE_CONTROL_WRITABLE)
    registers.define(at + 12, 4, LINK | ASPM_OPTIONALITY)
    registers.define(at + 16, 2, 0, LINK_CONTROL_WRITABLE)
    registers.define(at + 18, 2, LINK)
    registers.define(at + 36, 4, COMPLETION_TIMEOUT_DISABLE)
    registers.define(at + 40, 2, 0, COMPLETION_TIMEOUT_DISABLE)
    registers.define(at + 44, 4, SPEEDS)
    registers.define(at + 48, 2, 1, 0xf)
  }
}

const MSI_ENABLE = 1
const MSI_COUNT_SHIFT = 4
const MSI_COUNT = 7 << MSI_COUNT_SHIFT
const MSI_64_BIT = 1 << 7
const MSI_MASKABLE = 1 << 8

/** What software has set up of MSI. */
export interface MsiState {
  readonly enabled: boolean
  /** Vectors in use, 1 to those that the function has. */
  readonly vectors: number
  readonly address: bigint
  readonly data: number
  isMasked(vector: number): boolean
}

/** MSI: 64-bit addresses, a mask bit for each vector. */
export class Msi implements PciCapability, MsiState {
  readonly id = 0x05
  readonly byteLength = 24
  readonly #log2: number
  #registers: RegisterFile | undefined
  #at = 0
  #count = 0

  /** @param vectors - 1 to 32, a power of two */
  constructor(vectors: number) {
    this.#log2 = Math.log2(vectors)
  }

  define(registers: RegisterFile, at: number): void {
    this.#registers = registers
    this.#at = at
    registers.define(at + 2, 2, (this.#log2 << 1) | MSI_64_BIT | MSI_MASKABLE, MSI_ENABLE | MSI_COUNT)
    registers.define(at + 4, 4, 0, 0xffff_fffc)
    registers.define(at + 8, 4, 0, 0xffff_ffff)
    registers.define(at + 12, 2, 0, 0xffff)
    registers.define(at + 16, 4, 0, 2 ** (2 ** this.#log2) - 1)
  }

  get enabled(): boolean {
    return (this.#control & MSI_ENABLE) !== 0
  }

  get vectors(): number {
    return 2 ** this.#count
  }

  get address(): bigint {
    return (BigInt(this.#u32(8)) << 32n) | BigInt(this.#u32(4))
  }

  get data(): number {
    return this.#u32(12)
  }

  isMasked(vector: number): boolean {
    return ((this.#u32(16) >>> vector) & 1) !== 0
  }

  /** More vectors than there are: the number stays. */
  settle(): void {
    const count = (this.#control & MSI_COUNT) >> MSI_COUNT_SHIFT
    if (count <= this.#log2) this.#count = count
    else this.#registers?.put(this.#at + 2, MSI_COUNT, this.#count << MSI_COUNT_SHIFT)
  }

  get #control(): number {
    return this.#u32(0) >>> 16
  }

  #u32(offset: number): number {
    return this.#registers?.u32(this.#at + offset) ?? 0
  }
}
