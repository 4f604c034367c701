/**
 * What memory must hold after a number of records, compared with what it holds.
 *
 * The last writer of every slot is found by writing all records again, on paper: 128 MiB of memory at a
 * time, which takes 32 MiB, and another round over the records for the next.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { SeededContent } from './fill-seeded.ts'
import { type BulkPlacement, placementRegisters, wholeSeed } from './pattern.ts'
import { peerOf, PeerShare } from './peer-records.ts'
import { PAGE_BYTES, Placement, workloadBytes } from './placement.ts'
import { RECORD_BYTES, storeRecord } from './record.ts'

/** Slots whose last writers are known at a time. */
const WINDOW_SLOTS = 8 * 1024 * 1024
/** Records written again, and bytes compared, between two turns of the event loop. */
const SLICE_RECORDS = 1024 * 1024
const SLICE_BYTES = 1024 * 1024
/** Sequence numbers are kept in 32 bits, 0 for none. */
const MAX_RECORDS = 0xffff_fffe

/** What the memory of a bulk device must hold; see {@link verifyBulkWorkload}. */
export interface BulkExpectation {
  /** Seed of the power-on content; none: zero. */
  readonly seed?: number
  /** Seed, pattern and its parameters since power-on; default: uniform, seed 1. */
  readonly workload?: BulkPlacement
  /** Records that the workload has written. */
  readonly sequence: bigint
  /** Bytes at the end that the workload left alone, default 0, rounded up to pages as by `createBulk`. */
  readonly reservedBytes?: number
  /** What peers wrote into the reserved bytes; without it they must hold power-on content. */
  readonly p2p?: {
    /** Place of this device in the link. */
    readonly index: number
    /** All devices of the link in its order, this one included: workload seeds and P2P sequences. */
    readonly devices: readonly { readonly seed?: number | bigint; readonly p2pSequence: bigint }[]
  }
  /** Ranges that somebody else wrote: not looked at. */
  readonly except?: readonly { readonly offset: number; readonly byteLength: number }[]
}

/** Whether memory holds what it must, or the first difference. */
export type BulkVerdict =
  | { readonly matches: true }
  | {
      readonly matches: false
      /** First byte that differs. */
      readonly offset: number
      /** The slot, 16 bytes or what is left of the memory: as it must be, and as it is. */
      readonly expected: Uint8Array
      readonly found: Uint8Array
      /** The record that must be there, of the workload or of a peer; undefined: power-on content. */
      readonly sequence: bigint | undefined
    }

/** Memory to look at: `bulk.memory`, or its bytes. */
export type ReadableMemory =
  Uint8Array | { readonly byteLength: number; read(offset: number, dst: Uint8Array): void }

/** Somebody who wrote records, into slots of its own. */
interface Writer {
  readonly records: number
  /** The slots, `end` not included. */
  readonly first: number
  readonly end: number
  /** -1: somewhere else. */
  slotOf(low: number): number
  checkOf(high: number, low: number): number
}

/**
 * Tells whether memory holds exactly what the workload must have left: the last record of each slot, and
 * power-on content elsewhere. For a device that stands still, and for one that was migrated: the sequence
 * goes on at the destination. The parameters must have been the same since power-on.
 *
 * Takes 33 MiB besides the memory, and for 512 MiB and 5 million records some three seconds; yields.
 *
 * @throws {@link VfioError} EINVAL when an expectation is out of range, or for 2^32 records and more
 * @example
 * ```ts
 * import { DeviceState, VfioDevice } from 'stopcopy'
 * import { createBulk, verifyBulkWorkload } from 'stopcopy/devices'
 * const workload = { pagesPerSecond: 20_000, pattern: 'sweep' } as const
 * const bulk = createBulk({ memoryBytes: 2 ** 24, seed: 7, workload })
 * const device = await VfioDevice.open(bulk)
 * await device.setState(DeviceState.STOP)
 * console.log(await verifyBulkWorkload(bulk.memory, { seed: 7, workload, sequence: bulk.sequence }))
 * ```
 */
export async function verifyBulkWorkload(
  memory: ReadableMemory,
  expectation: BulkExpectation,
): Promise<BulkVerdict> {
  const { seed, except = [] } = expectation
  if (seed !== undefined) wholeSeed(seed)
  const writers = writersOf(memory.byteLength, expectation)
  const content = seed === undefined ? undefined : new SeededContent(seed)
  const last = new Uint32Array(Math.min(WINDOW_SLOTS, Math.ceil(memory.byteLength / RECORD_BYTES)))
  const expected = new Uint8Array(Math.min(SLICE_BYTES, memory.byteLength))
  const found = new Uint8Array(expected.length)
  for (let at = 0; at < memory.byteLength; at += SLICE_BYTES) {
    const slot = at / RECORD_BYTES
    if (slot % WINDOW_SLOTS === 0) await findLastWriters(writers, slot, last)
    const byteLength = Math.min(SLICE_BYTES, memory.byteLength - at)
    const want = expected.subarray(0, byteLength)
    const have = found.subarray(0, byteLength)
    readInto(have, memory, at)
    if (content === undefined) want.fill(0)
    else content.fill(want)
    layRecords(want, slot, writers, last)
    for (const range of except) {
      const from = Math.max(0, range.offset - at)
      const to = Math.min(byteLength, range.offset + range.byteLength - at)
      if (from < to) want.set(have.subarray(from, to), from)
    }
    const difference = firstDifference(want, have)
    if (difference >= 0) {
      const first = Math.floor(difference / RECORD_BYTES) * RECORD_BYTES
      const sequence = last[((at + first) / RECORD_BYTES) % WINDOW_SLOTS] ?? 0
      return {
        matches: false,
        offset: at + difference,
        expected: want.slice(first, first + RECORD_BYTES),
        found: have.slice(first, first + RECORD_BYTES),
        sequence: sequence === 0 ? undefined : BigInt(sequence - 1),
      }
    }
    await turn()
  }
  return { matches: true }
}

function writersOf(memoryBytes: number, expectation: BulkExpectation): Writer[] {
  const { workload = {}, reservedBytes = 0, p2p } = expectation
  if (!(reservedBytes >= 0 && reservedBytes <= memoryBytes))
    throw refusal(`${reservedBytes} reserved bytes are out of range`, `use 0 to ${memoryBytes}`)
  const reservedPages = Math.ceil(reservedBytes / PAGE_BYTES)
  const placement = new Placement(workloadBytes(memoryBytes, reservedPages), placementRegisters(workload))
  const writers: Writer[] = []
  const add = (sequence: bigint, writer: Omit<Writer, 'records'>): void => {
    if (sequence < 0n || sequence > MAX_RECORDS)
      throw refusal(`${sequence} records are out of range`, `use 0 to ${MAX_RECORDS}`)
    if (writer.end > writer.first) writers.push({ ...writer, records: Number(sequence) })
  }
  add(expectation.sequence, {
    first: 0,
    end: placement.slots,
    slotOf: (low) => placement.slotOf(0, low),
    checkOf: (high, low) => placement.checkOf(high, low),
  })
  const devices = p2p?.devices.length ?? 0
  for (const [sender, { seed, p2pSequence }] of (p2p?.devices ?? []).entries()) {
    if (sender === p2p?.index) continue
    const { seed: senderSeed } = placementRegisters(seed === undefined ? {} : { seed })
    const share = new PeerShare({ byteLength: memoryBytes, reservedPages }, { devices, sender }, senderSeed)
    add(p2pSequence, {
      first: share.first,
      end: share.first + share.slots,
      slotOf: (low) => (peerOf(sender, devices, 0, low) === p2p?.index ? share.slotOf(0, low) : -1),
      checkOf: (high, low) => share.checkOf(high, low),
    })
  }
  return writers
}

/** Fills `last` with 1 + the sequence number of the last record of each slot from `first` on, 0 for none. */
async function findLastWriters(writers: readonly Writer[], first: number, last: Uint32Array): Promise<void> {
  last.fill(0)
  for (const writer of writers)
    for (let from = 0; from < writer.records; from += SLICE_RECORDS) {
      const end = Math.min(writer.records, from + SLICE_RECORDS)
      for (let low = from; low < end; low++) {
        const slot = writer.slotOf(low) - first
        if (slot >= 0 && slot < last.length) last[slot] = low + 1
      }
      await turn()
    }
}

/** Stores the last record of each slot over the power-on content. */
function layRecords(
  bytes: Uint8Array,
  firstSlot: number,
  writers: readonly Writer[],
  last: Uint32Array,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const slots = Math.floor(bytes.length / RECORD_BYTES)
  for (let i = 0; i < slots; i++) {
    const sequence = last[(firstSlot + i) % WINDOW_SLOTS] as number
    if (sequence === 0) continue
    const low = sequence - 1
    const slot = firstSlot + i
    const writer = writers.find(({ first, end }) => slot >= first && slot < end)
    storeRecord(view, i, 0, low, writer?.checkOf(0, low) ?? 0)
    // A slot of the memory, not of the slice.
    view.setUint32(i * RECORD_BYTES + 8, slot, true)
  }
}

function readInto(dst: Uint8Array, memory: ReadableMemory, offset: number): void {
  if (memory instanceof Uint8Array) dst.set(memory.subarray(offset, offset + dst.length))
  else memory.read(offset, dst)
}

/** The first byte that differs, or -1. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const words = Math.floor(a.length / 4)
  const left = new Uint32Array(a.buffer, a.byteOffset, words)
  const right = new Uint32Array(b.buffer, b.byteOffset, words)
  let at = 0
  while (at < words && left[at] === right[at]) at++
  for (at *= 4; at < a.length; at++) if (a[at] !== b[at]) return at
  return -1
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

function refusal(reason: string, remedy: string): VfioError {
  return new VfioError('EINVAL', `Cannot verify bulk: ${reason}, ${remedy}`)
}
