/**
 * Interrupts of a served device: vectors, the eventfds that the client gave them, masks.
 *
 * Without descriptors nobody can be told, since the protocol has no message for an interrupt.
 *
 * @module
 */

import type { PciFunction } from '../device/pci-function.ts'
import type { FdPassing } from './fd-passing.ts'

/** Indexes of interrupts, as the kernel numbers those of PCI devices. */
export const IrqIndex = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const

/** How many there are. */
export const IRQ_COUNT = 5

interface Vector {
  eventFd: number | undefined
  isMasked: boolean
  /** Raised while it was masked. */
  isPending: boolean
}

/** All vectors of one device for one client. */
export class Interrupts {
  readonly #pci: PciFunction
  readonly #fds: FdPassing | undefined
  readonly #counts: readonly number[]
  /** By index and vector; only those that a client touched. */
  readonly #vectors: readonly Map<number, Vector>[]

  constructor(pci: PciFunction, fds: FdPassing | undefined) {
    const { interrupts } = pci
    this.#pci = pci
    this.#fds = fds
    this.#counts = [interrupts.intx, interrupts.msi, interrupts.msix, 1, 1]
    this.#vectors = this.#counts.map(() => new Map())
  }

  /** Vectors of an index; undefined where there is no such index. */
  count(index: number): number | undefined {
    return this.#counts[index]
  }

  /** The device raises a vector: it goes where the client listens, MSI-X first, INTx last. */
  raise(vector: number): void {
    for (const index of [IrqIndex.MSIX, IrqIndex.MSI, IrqIndex.INTX]) {
      const isListened = [...this.#vectors[index]!.values()].some(({ eventFd }) => eventFd !== undefined)
      if (!isListened) continue
      this.trigger(index, index === IrqIndex.INTX ? 0 : vector)
      return
    }
  }

  /** Signals one vector, or keeps it while it is masked. */
  trigger(index: number, vector: number): void {
    const state = this.#vectors[index]!.get(vector)
    if (state?.isMasked === true) state.isPending = true
    if (state?.eventFd === undefined || state.isMasked) return
    try {
      this.#fds?.signal(state.eventFd)
    } catch {
      // The client gave something that cannot be signalled: its loss, and none of the device's.
    }
  }

  /**
   * Masks or unmasks a vector; what came meanwhile is signalled then. INTx is a level: whoever unmasks it, as clients
   * do when the guest has served it, is signalled again while it is asserted.
   */
  mask(index: number, vector: number, isMasked: boolean): void {
    const state = this.#at(index, vector)
    state.isMasked = isMasked
    const isRaised = state.isPending || (index === IrqIndex.INTX && this.#pci.intxAsserted)
    if (isMasked || !isRaised) return
    state.isPending = false
    this.trigger(index, vector)
  }

  /** Gives a vector an eventfd, which is its own from now on; undefined takes it away. */
  assign(index: number, vector: number, eventFd: number | undefined): void {
    const state = this.#at(index, vector)
    if (state.eventFd !== undefined) this.#fds?.close(state.eventFd)
    state.eventFd = eventFd
    if (eventFd === undefined && !state.isMasked) this.#vectors[index]!.delete(vector)
  }

  /** Takes the eventfds of an index away, and its masks. */
  disable(index: number): void {
    const vectors = this.#vectors[index]!
    for (const { eventFd } of vectors.values()) if (eventFd !== undefined) this.#fds?.close(eventFd)
    vectors.clear()
  }

  /** The client is gone: all of them. */
  close(): void {
    for (let index = 0; index < IRQ_COUNT; index++) this.disable(index)
  }

  #at(index: number, vector: number): Vector {
    const vectors = this.#vectors[index]!
    const known = vectors.get(vector)
    if (known !== undefined) return known
    const made: Vector = { eventFd: undefined, isMasked: false, isPending: false }
    vectors.set(vector, made)
    return made
  }
}
