/**
 * Where the workload's records go, from the seed, the pattern's parameters and the sequence number alone.
 *
 * @module
 */

import { BULK_PATTERNS, FRACTION_PARTS, type PlacementRegisters } from './pattern.ts'
import {
  highOf,
  lowOf,
  RECORD_BYTES,
  saltedHash,
  seedKey,
  sequenceHash,
  sequenceModulo,
  storeRecord,
  WORKLOAD_CHECK,
} from './record.ts'

/** Bytes of a page, and the slots in it. */
export const PAGE_BYTES = 4096
const PAGE_SLOTS: number = PAGE_BYTES / RECORD_BYTES

const SLOT_SALT = 0
const HOT_SALT = 2
const HOT_SET = BULK_PATTERNS.indexOf('hot-set')
const SWEEP = BULK_PATTERNS.indexOf('sweep')

/** Bytes at the front of a memory that the workload may write: all before the reserved pages. */
export function workloadBytes(memoryBytes: number, reservedPages: number): number {
  if (reservedPages === 0) return memoryBytes
  return Math.max(0, Math.ceil(memoryBytes / PAGE_BYTES) - reservedPages) * PAGE_BYTES
}

/** Places and stores the records of one workload. */
export class Placement {
  /** Slots that the workload may write. */
  readonly slots: number
  readonly #key: number
  readonly #pattern: number
  readonly #pages: number
  readonly #hotSlots: number
  readonly #hotShare: number

  constructor(byteLength: number, registers: PlacementRegisters) {
    this.slots = Math.floor(byteLength / RECORD_BYTES)
    this.#key = seedKey(registers.seed)
    this.#pattern = registers.pattern
    this.#pages = Math.ceil(this.slots / PAGE_SLOTS)
    const hotPages = Math.max(1, Math.round((this.#pages * registers.hotFraction) / FRACTION_PARTS))
    this.#hotSlots = Math.min(this.slots, hotPages * PAGE_SLOTS)
    this.#hotShare = registers.hotShare
  }

  /** The slot of a sequence number; there must be slots. */
  slotOf(high: number, low: number): number {
    return this.#slot(sequenceHash(this.#key, high, low), high, low)
  }

  /** The check that the record of a sequence number holds. */
  checkOf(high: number, low: number): number {
    return saltedHash(sequenceHash(this.#key, high, low), WORKLOAD_CHECK)
  }

  /** Stores the record of a sequence number, returns its slot; there must be slots. */
  store(memory: DataView, high: number, low: number): number {
    const hash = sequenceHash(this.#key, high, low)
    const slot = this.#slot(hash, high, low)
    storeRecord(memory, slot, high, low, saltedHash(hash, WORKLOAD_CHECK))
    return slot
  }

  #slot(sequence: number, high: number, low: number): number {
    const hash = saltedHash(sequence, SLOT_SALT)
    if (this.#pattern === SWEEP) {
      const first = sequenceModulo(high, low, this.#pages) * PAGE_SLOTS
      return first + (hash % Math.min(PAGE_SLOTS, this.slots - first))
    }
    const coldSlots = this.slots - this.#hotSlots
    if (this.#pattern !== HOT_SET || coldSlots === 0) return hash % this.slots
    return saltedHash(sequence, HOT_SALT) >>> 16 < this.#hotShare
      ? hash % this.#hotSlots
      : this.#hotSlots + (hash % coldSlots)
  }
}

/** Where the record of a sequence number goes: a byte offset, or -1 when the memory holds none. */
export function recordOffset(byteLength: number, registers: PlacementRegisters, sequence: bigint): number {
  const placement = new Placement(byteLength, registers)
  return placement.slots === 0 ? -1 : placement.slotOf(highOf(sequence), lowOf(sequence)) * RECORD_BYTES
}
