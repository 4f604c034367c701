/**
 * The place of a PCI function that a host is plugged into.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { DmaMemory, PciHost } from './pci-function.ts'

/** For a driver's `pci`: `connect` is the function's, the rest what the device does with its host. */
export class PciSlot {
  readonly #unplugged: () => void
  #host: PciHost | undefined

  /** @param unplugged - called when a host has gone: nothing that it began will be answered */
  constructor(unplugged: () => void = () => {}) {
    this.#unplugged = unplugged
  }

  /** Memory of the host; undefined while there is none. */
  get memory(): DmaMemory | undefined {
    return this.#host?.memory
  }

  /** Raises an interrupt; without a host nothing happens. */
  raise(vector: number): void {
    this.#host?.raise(vector)
  }

  /**
   * Plugs a host in.
   *
   * @returns unplugs it; later calls do nothing
   * @throws {@link VfioError} EBUSY while there is one
   */
  connect(host: PciHost): () => void {
    if (this.#host !== undefined)
      throw new VfioError('EBUSY', 'Cannot connect a host: there is one, disconnect it first')
    // A copy: the same host may be plugged in again, and an old handle must not unplug the new connection.
    const plugged: PciHost = { memory: host.memory, raise: (vector) => host.raise(vector) }
    this.#host = plugged
    return () => {
      if (this.#host !== plugged) return
      this.#host = undefined
      this.#unplugged()
    }
  }
}
