/**
 * The peer-to-peer DMA of one device: what it starts, and what it takes from its peers.
 *
 * A transfer takes time: it starts in one tick of the device's clock, moves in two or more, and a device
 * that is told to stop starting them has finished when none is outstanding.
 *
 * @module
 */

import type { DeviceContext, DeviceMemory } from '../../driver/index.ts'
import type { BulkSchema } from './bulk-state.ts'
import type { PeerRequest } from './descriptor-ring.ts'
import { IdleWait } from './idle-wait.ts'
import { Pace } from './pace.ts'
import { peerOf, PeerShare, TURN_RECORDS } from './peer-records.ts'
import { highOf, lowOf, RECORD_BYTES } from './record.ts'

/** Most bytes of a transfer that move in one tick. */
const STEP_BYTES = 256 * 1024

/** Something that happened to a peer-to-peer transfer. */
export interface BulkP2pEvent {
  /**
   * 'start' and 'finish' of a transfer at the device that makes it; 'accepted' or 'refused': part of one at
   * the device whose memory it reaches. Refused is a violation: the peer should have been quiet.
   */
  readonly kind: 'start' | 'finish' | 'accepted' | 'refused'
  /** Where it happened, and the other end; places in the link. */
  readonly device: number
  /** The other end; its place in the link. */
  readonly peer: number
  /** Bytes of the transfer or of the part. */
  readonly bytes: number
  /** `performance.now()`, ms. */
  readonly at: number
}

/** Transfers made and parts of transfers met, since the driver was created. */
export interface BulkP2pCounts {
  /** Transfers begun here. */
  readonly started: number
  /** Of them, those that are done. */
  readonly finished: number
  /** Parts of peers' transfers that reached this device's memory. */
  readonly accepted: number
  /** Parts that came while the peer should have been quiet; see {@link BulkP2pEvent}. */
  readonly refused: number
}

/** What joins devices. */
export interface PeerWiring {
  readonly devices: readonly PeerDma[]
  readonly onP2p: ((event: BulkP2pEvent) => void) | undefined
}

/** Consecutive records. */
interface Range {
  readonly high: number
  readonly low: number
  readonly records: number
}

interface Transfer {
  readonly peer: number
  readonly bytes: number
  /** Moves a part, of at most so many bytes if it is a copy. 0: all done; undefined: the peer takes none. */
  step(maxBytes: number): number | undefined
  done?(success: boolean): void
}

/** The memory of a device that takes what its peers write. */
interface Target {
  readonly local: DeviceMemory
  readonly view: DataView
  readonly state: { readonly reservedPages: number }
}

/** See the module. */
export class PeerDma {
  /** Whether a descriptor is under way. */
  ringBusy = false
  readonly #linked: () => void
  readonly #pace: Pace = new Pace()
  readonly #wait: IdleWait = new IdleWait()
  readonly #counts: Record<BulkP2pEvent['kind'], number> = { start: 0, finish: 0, accepted: 0, refused: 0 }
  #wiring: PeerWiring | undefined
  #index = 0
  #target: Target | undefined
  #quiet = false
  #outstanding: Transfer[] = []

  /** @param linked - called when there are peers */
  constructor(linked: () => void) {
    this.#linked = linked
  }

  get counts(): BulkP2pCounts {
    const { start: started, finish: finished, accepted, refused } = this.#counts
    return { started, finished, accepted, refused }
  }

  get joined(): boolean {
    return this.#wiring !== undefined
  }

  /** Whether no transfer may be started. */
  get quiet(): boolean {
    return this.#quiet
  }

  /** Whether transfers are outstanding. */
  get busy(): boolean {
    return this.#outstanding.length > 0
  }

  /** Whether {@link quiesce} waits. */
  get draining(): boolean {
    return this.#wait.waiting
  }

  join(wiring: PeerWiring, index: number): void {
    this.#wiring = wiring
    this.#index = index
    this.#linked()
  }

  leave(): void {
    this.#abandon()
    this.#wiring = undefined
  }

  /** The device works: peers reach its memory. */
  attach({ memory, state }: DeviceContext<BulkSchema, 'local'>): void {
    const { bytes } = memory.local
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#target = { local: memory.local, view, state }
    this.#pace.start(0)
  }

  /** The device stopped: what a peer sends is refused. After a reset or close transfers end where they are. */
  detach(): void {
    this.#abandon()
    this.#target = undefined
  }

  /** Starts no transfer from here on, and waits for those under way. An abort takes that back. */
  quiesce(options: { readonly signal: AbortSignal }): Promise<void> | undefined {
    this.#quiet = true
    if (!this.busy) return undefined
    return this.#wait.wait(options.signal).catch((error: unknown) => {
      this.#quiet = false
      throw error
    })
  }

  /** Transfers may be started. */
  resume(): void {
    this.#quiet = false
  }

  /** Moves what is outstanding. */
  step(): void {
    if (!this.busy) return
    this.#outstanding = this.#outstanding.filter((transfer) => {
      const left = transfer.step(Math.min(STEP_BYTES, Math.ceil(transfer.bytes / 2)))
      if (left !== undefined && left > 0) return true
      this.#trace('finish', transfer.peer, transfer.bytes)
      transfer.done?.(left === 0)
      return false
    })
    if (!this.busy) this.#wait.idle()
  }

  /** Starts transfers for the records that are due. */
  startRecords(state: DeviceContext<BulkSchema, 'local'>['state'], elapsedMs: number): void {
    const devices = this.#wiring?.devices.length ?? 0
    if (devices === 0 || this.#quiet) return
    const count = this.#pace.due(elapsedMs, state.p2pRate)
    if (count === 0) return
    const { p2pSequence, seed } = state
    // One transfer to each peer: each takes two ticks, so records reach a peer in their order.
    const transfers = new Map<number, Range[]>()
    for (let left = count, at = p2pSequence; left > 0;) {
      const high = highOf(at)
      const low = lowOf(at)
      // A turn starts at a multiple of its records, so no range crosses a wrap of `low`.
      const records = Math.min(left, TURN_RECORDS - (low % TURN_RECORDS))
      const peer = peerOf(this.#index, devices, high, low)
      const range = { high, low, records }
      const ranges = transfers.get(peer)
      if (ranges === undefined) transfers.set(peer, [range])
      else ranges.push(range)
      left -= records
      at += BigInt(records)
    }
    for (const [peer, ranges] of transfers) this.#sendRecords(peer, ranges, seed)
    state.p2pSequence = p2pSequence + BigInt(count)
  }

  /** Starts a descriptor's transfer; false when it is none that can be made. */
  startCopy(request: PeerRequest, local: DeviceMemory, done: (success: boolean) => void): boolean {
    const { peer, toPeer, dst, src, byteLength } = request
    const port = this.#wiring?.devices[peer]
    const own = toPeer ? src : dst
    if (port === undefined || port === this || own + byteLength > local.byteLength) return false
    let moved = 0
    this.ringBusy = true
    this.#start({
      peer,
      bytes: byteLength,
      step: (maxBytes) => {
        const length = Math.min(maxBytes, byteLength - moved)
        const mine = local.bytes.subarray(own + moved, own + moved + length)
        const there = (toPeer ? dst : src) + moved
        const accepted = port.#receive(this.#index, length, (target) => {
          if (there + length > target.local.byteLength) return false
          const theirs = target.local.bytes.subarray(there, there + length)
          if (toPeer) theirs.set(mine)
          else mine.set(theirs)
          if (toPeer) target.local.mark(there, length)
          else local.mark(own + moved, length)
          return true
        })
        moved += length
        return accepted ? byteLength - moved : undefined
      },
      done: (success) => {
        this.ringBusy = false
        done(success)
      },
    })
    return true
  }

  #sendRecords(peer: number, ranges: readonly Range[], seed: bigint): void {
    const { devices } = this.#wiring as PeerWiring
    const port = devices[peer] as PeerDma
    const link = { devices: devices.length, sender: this.#index }
    const total = ranges.reduce((sum, { records }) => sum + records, 0)
    let next = 0
    this.#start({
      peer,
      bytes: total * RECORD_BYTES,
      step: () => {
        // Half of the turns in one tick, the rest in the next.
        const part = ranges.slice(next, next + Math.ceil(ranges.length / 2))
        next += part.length
        const records = part.reduce((sum, range) => sum + range.records, 0)
        const accepted = port.#receive(this.#index, records * RECORD_BYTES, ({ local, view, state }) => {
          const { byteLength } = local
          const share = new PeerShare({ byteLength, reservedPages: state.reservedPages }, link, seed)
          if (share.slots === 0) return false
          for (const { high, low, records: count } of part)
            for (let i = 0; i < count; i++)
              local.mark(share.store(view, high, low + i) * RECORD_BYTES, RECORD_BYTES)
          return true
        })
        return accepted ? ranges.length - next : undefined
      },
    })
  }

  #start(transfer: Transfer): void {
    this.#outstanding.push(transfer)
    this.#trace('start', transfer.peer, transfer.bytes)
  }

  /** A peer reaches in; false when the device is stopped or has no such memory. */
  #receive(peer: number, bytes: number, access: (target: Target) => boolean): boolean {
    if (this.#target === undefined) {
      this.#trace('refused', peer, bytes)
      return false
    }
    if (!access(this.#target)) return false
    this.#trace('accepted', peer, bytes)
    return true
  }

  #abandon(): void {
    const abandoned = this.#outstanding
    this.#outstanding = []
    this.ringBusy = false
    for (const { peer, bytes } of abandoned) this.#trace('finish', peer, bytes)
    this.#wait.idle()
  }

  #trace(kind: BulkP2pEvent['kind'], peer: number, bytes: number): void {
    this.#counts[kind]++
    this.#wiring?.onP2p?.({ kind, device: this.#index, peer, bytes, at: performance.now() })
  }
}
