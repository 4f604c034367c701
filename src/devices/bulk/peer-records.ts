/**
 * Where records go that a linked device writes into its peers.
 *
 * The reserved pages of a memory are cut into as many equal shares as there are linked devices, so that
 * two senders never write the same slot. A device takes its peers in turn, the one after it first, 64
 * records each; where in its share a record goes follows from its seed and its P2P sequence number.
 *
 * @module
 */

import { workloadBytes } from './placement.ts'
import { PEER_CHECK, RECORD_BYTES, saltedHash, seedKey, sequenceHash, storeRecord } from './record.ts'

/** Records to one peer before the next has its turn. */
export const TURN_RECORDS = 64
const TURN_BITS = 6
const PEER_SLOT_SALT = 3

/** The peer that gets a record: an index of the link. There must be two devices or more. */
export function peerOf(sender: number, devices: number, high: number, low: number): number {
  const peers = devices - 1
  // The number of the turn, modulo the peers.
  const turn = ((high % peers) * (2 ** (32 - TURN_BITS) % peers) + (low >>> TURN_BITS)) % peers
  return (sender + 1 + turn) % devices
}

/** The share of one sender in one receiver's memory. */
export class PeerShare {
  /** First slot of the share, and how many there are; maybe none. */
  readonly first: number
  readonly slots: number
  readonly #key: number

  constructor(
    memory: { byteLength: number; reservedPages: number },
    link: { devices: number; sender: number },
    seed: bigint,
  ) {
    const reserved = Math.ceil(workloadBytes(memory.byteLength, memory.reservedPages) / RECORD_BYTES)
    const slots = Math.max(0, Math.floor(memory.byteLength / RECORD_BYTES) - reserved)
    this.slots = Math.floor(slots / link.devices)
    this.first = reserved + link.sender * this.slots
    this.#key = seedKey(seed)
  }

  /** The slot of a P2P sequence number; the share must have slots. */
  slotOf(high: number, low: number): number {
    return this.#slot(sequenceHash(this.#key, high, low))
  }

  /** The check that the record of a P2P sequence number holds. */
  checkOf(high: number, low: number): number {
    return saltedHash(sequenceHash(this.#key, high, low), PEER_CHECK)
  }

  /** Stores the record of a P2P sequence number, returns its slot; the share must have slots. */
  store(memory: DataView, high: number, low: number): number {
    const hash = sequenceHash(this.#key, high, low)
    const slot = this.#slot(hash)
    storeRecord(memory, slot, high, low, saltedHash(hash, PEER_CHECK))
    return slot
  }

  #slot(hash: number): number {
    return this.first + (saltedHash(hash, PEER_SLOT_SALT) % this.slots)
  }
}
