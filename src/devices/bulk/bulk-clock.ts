/**
 * The device's own clock: while it is started, records are written and descriptors worked off,
 * whether anybody looks or not.
 *
 * @module
 */

import type { DirtyLog } from '../../device/dirty-log.ts'
import type { DmaMemory } from '../../device/pci-function.ts'
import type { DeviceContext } from '../../driver/index.ts'
import type { BulkSchema } from './bulk-state.ts'
import {
  finishDescriptor,
  hostRequest,
  isHostDescriptor,
  isPeerDescriptor,
  peerRequest,
  RING_ENTRIES,
  runDescriptor,
} from './descriptor-ring.ts'
import { HostDma } from './host-dma.ts'
import { BULK_PATTERNS } from './pattern.ts'
import { Placement, workloadBytes } from './placement.ts'
import { highOf, lowOf, RECORD_BYTES } from './record.ts'
import { PeerDma } from './peer-dma.ts'
import { Pace, type Rhythm } from './pace.ts'

/** CONTROL: the workload writes records. */
export const CONTROL_WORKLOAD = 1
/** CONTROL: the ring is worked off. */
export const CONTROL_RING = 2
/** Interrupt: a descriptor was completed. */
export const INTERRUPT_RING = 1
/** Interrupt: the workload wrote its first record. */
export const INTERRUPT_WORKLOAD = 2

const BURST = BULK_PATTERNS.indexOf('burst')
const TICK_MS = 1
/** After a stall the workload catches up with this much at the most. */
const CATCH_UP_MS = 100
/** Descriptors per turn. */
const RING_BATCH = 8

/** Parts of the world that the device reaches. */
export interface BulkClockOptions {
  /** What descriptors reach now; undefined: nothing. */
  readonly hostMemory: () => DmaMemory | undefined
  readonly dirtyLog: DirtyLog
  /** Raises an interrupt for bits of INTERRUPT_STATUS. */
  readonly raise: (bits: number) => void
}

/** A started or stopped clock. */
export class BulkClock {
  /** Transfers between this device and its peers. */
  readonly peers: PeerDma = new PeerDma(() => this.kick())
  /** Transfers between this device and its host. */
  readonly #dma: HostDma
  readonly #options: BulkClockOptions
  #context: DeviceContext<BulkSchema, 'local'> | undefined
  #view: DataView | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #last = 0
  /** Part of full speed: less than 1 when throttled. */
  #speed = 1
  readonly #pace: Pace = new Pace()

  constructor(options: BulkClockOptions) {
    this.#options = options
    this.#dma = new HostDma(options.dirtyLog)
  }

  /** Whether the device works: false in every stopped state. */
  get started(): boolean {
    return this.#context !== undefined
  }

  /** Slows the workload by 0 to 99 percent; descriptors, which the guest waits for, keep their speed. */
  throttle(percent: number): void {
    this.#speed = (100 - percent) / 100
  }

  /** Starts work; an interrupt that is pending and not masked is raised again. */
  start(context: DeviceContext<BulkSchema, 'local'>): void {
    const { bytes } = context.memory.local
    this.#context = context
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#last = performance.now()
    this.peers.attach(context)
    this.#pace.start(context.state.burstPhase / 1000)
    this.updateInterrupt()
    this.kick()
  }

  /** Stops when a transfer of the host, which may take its time, has ended. An abort takes that back. */
  quiesce(options: { readonly signal: AbortSignal }): Promise<void> | undefined {
    // The next descriptor starts in another turn: it finds the device stopped.
    const finished = this.#dma.quiesce(options)?.then(() => this.stop())
    if (finished === undefined) this.stop()
    return finished
  }

  /** Stops work at once: nothing moves after it, and what the host answers now is dropped. */
  stop(): void {
    this.#dma.abandon()
    this.peers.detach()
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#context = undefined
    this.#view = undefined
  }

  /** Starts no peer-to-peer DMA from here on, and waits for what is under way. */
  quiesceP2p(options: { readonly signal: AbortSignal }): Promise<void> | undefined {
    const finished = this.peers.quiesce(options)
    // Whoever waits keeps the process alive.
    ;(this.#timer as { ref?: () => void } | undefined)?.ref?.()
    return finished?.catch((error: unknown) => {
      // Taken back: there may be a descriptor that waits.
      this.kick()
      throw error
    })
  }

  /** Allows peer-to-peer DMA. */
  resumeP2p(): void {
    this.peers.resume()
    this.kick()
  }

  /** A register changed: there may be work. */
  kick(): void {
    if (this.#context === undefined || this.#timer !== undefined || !this.#hasWork) return
    this.#last = performance.now()
    this.#schedule()
  }

  /** The host has gone: a transfer under way fails. */
  hostGone(): void {
    this.#dma.fail()
  }

  /** Status bits that are set and not masked; none in a stopped state. */
  get pendingInterrupts(): number {
    const state = this.#context?.state
    return state === undefined ? 0 : state.interruptStatus & ~state.interruptMask
  }

  /** Raises the interrupt when a status bit is set and not masked. */
  updateInterrupt(): void {
    const pending = this.pendingInterrupts
    if (pending !== 0) this.#options.raise(pending)
  }

  get #hasWork(): boolean {
    const state = this.#context?.state
    if (state === undefined) return false
    const { peers } = this
    const p2pRate = peers.joined && !peers.quiet ? state.p2pRate : 0
    const workload = (state.control & CONTROL_WORKLOAD) !== 0 && state.rate + p2pRate > 0
    return workload || peers.busy || ((state.control & CONTROL_RING) !== 0 && this.#ringReady(state))
  }

  /** Whether the next descriptor can be worked on; those behind one that takes its time wait for it. */
  #ringReady({ ring, ringHead, ringTail }: DeviceContext<BulkSchema, 'local'>['state']): boolean {
    if (ringHead === ringTail || this.peers.ringBusy || this.#dma.busy) return false
    return !this.peers.quiet || !isPeerDescriptor(ring, ringHead)
  }

  #schedule(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#tick()
      // An interrupt's listener may have kicked it.
      if (this.#timer === undefined && this.#hasWork) this.#schedule()
    }, TICK_MS)
    // An idle program must be able to end: Node and Bun keep a process alive for a timer.
    if (!this.peers.draining) (this.#timer as { unref?: () => void }).unref?.()
  }

  #tick(): void {
    const context = this.#context
    if (context === undefined) return
    const { state } = context
    const now = performance.now()
    const elapsedMs = Math.min(now - this.#last, CATCH_UP_MS)
    this.#last = now
    this.peers.step()
    if ((state.control & CONTROL_WORKLOAD) !== 0) {
      this.#writeRecords(context, elapsedMs * this.#speed)
      this.peers.startRecords(state, elapsedMs * this.#speed)
    }
    if ((state.control & CONTROL_RING) !== 0) this.#workOff(context)
  }

  #writeRecords({ state, memory }: DeviceContext<BulkSchema, 'local'>, elapsedMs: number): void {
    const { local } = memory
    const placement = new Placement(workloadBytes(local.byteLength, state.reservedPages), state)
    if (placement.slots === 0) return
    const bursts = state.pattern === BURST
    const count = this.#pace.due(elapsedMs, state.rate, bursts ? rhythmOf(state) : undefined)
    if (bursts) state.burstPhase = Math.floor(this.#pace.phaseMs * 1000)
    if (count === 0) return
    const view = this.#view as DataView
    const { sequence } = state
    let high = highOf(sequence)
    let low = lowOf(sequence)
    for (let i = 0; i < count; i++) {
      local.mark(placement.store(view, high, low) * RECORD_BYTES, RECORD_BYTES)
      low = (low + 1) >>> 0
      if (low === 0) high = (high + 1) >>> 0
    }
    state.sequence = sequence + BigInt(count)
    if (sequence === 0n) this.#interrupt(INTERRUPT_WORKLOAD)
  }

  #workOff({ state, memory }: DeviceContext<BulkSchema, 'local'>): void {
    const { local } = memory
    for (let started = 0; started < RING_BATCH && this.#ringReady(state); started++) {
      const { ring, ringHead } = state
      const done = (success: boolean): void => {
        finishDescriptor(ring, ringHead, success)
        state.ringHead = (ringHead + 1) % RING_ENTRIES
        this.#interrupt(INTERRUPT_RING)
        this.kick()
      }
      if (isPeerDescriptor(ring, ringHead)) {
        const request = peerRequest(ring, ringHead)
        if (request === undefined || !this.peers.startCopy(request, local, done)) done(false)
      } else if (isHostDescriptor(ring, ringHead)) {
        const request = hostRequest(ring, ringHead, local.byteLength)
        const host = this.#options.hostMemory()
        if (request === undefined || host === undefined) done(false)
        else this.#dma.start(request, local, host, done)
      } else done(runDescriptor(ring, ringHead, local))
    }
  }

  #interrupt(bit: number): void {
    const state = this.#context?.state
    if (state === undefined || (state.interruptStatus & bit) !== 0) return
    state.interruptStatus |= bit
    if ((state.interruptMask & bit) === 0) this.#options.raise(bit)
  }
}

function rhythmOf({ burstMs, burstPeriodMs }: Rhythm): Rhythm {
  // A guest can write a burst that is longer than its period.
  return { burstMs: Math.min(burstMs, burstPeriodMs), burstPeriodMs }
}
