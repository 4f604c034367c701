/**
 * What a guest's driver does with a bulk device: registers, and descriptors that it posts and polls for.
 *
 * @module
 */

import { BulkRegister, DescriptorOp } from '../../../src/devices/index.ts'
import type { Guest, PlacedBar } from './guest.ts'

const DESCRIPTOR_BYTES = 32
const DESCRIPTORS = 64
/** CONTROL: the ring is worked off. */
const RUN_RING = 2

export { BulkRegister, DescriptorOp }

export class BulkDriver {
  readonly #guest: Guest
  readonly #registers: number
  readonly #ring: number
  /** Where the guest sees local memory. */
  readonly memory: number
  #tail = 0

  constructor(guest: Guest, bars: ReadonlyMap<number, PlacedBar>) {
    this.#guest = guest
    const [registers, ring, memory] = [0, 1, 2].map((index) => {
      const bar = bars.get(index)
      if (bar === undefined) throw new Error(`there is no BAR ${index}`)
      return bar.address
    }) as [number, number, number]
    this.#registers = registers
    this.#ring = ring
    this.memory = memory
  }

  /** The address of a register. */
  at(register: number): number {
    return this.#registers + register
  }

  /** Lets the device work on what is posted. */
  async start(): Promise<void> {
    await this.#guest.write(this.at(BulkRegister.CONTROL), RUN_RING)
    this.#tail = await this.#guest.read(this.at(BulkRegister.RING_TAIL))
  }

  /** Posts one descriptor and polls RING_HEAD until it is done, as drivers without interrupts do; its status. */
  async run(operation: number, destination: number, source: number, byteLength: number): Promise<number> {
    const at = await this.post(operation, destination, source, byteLength)
    while ((await this.#guest.read(this.at(BulkRegister.RING_HEAD))) !== this.#tail);
    return this.#guest.read(at + 4)
  }

  /** Posts one descriptor; where it is. */
  async post(operation: number, destination: number, source: number, byteLength: number): Promise<number> {
    const guest = this.#guest
    const at = this.#ring + this.#tail * DESCRIPTOR_BYTES
    await guest.write(at, operation)
    await guest.write(at + 4, 0)
    await guest.write64(at + 8, BigInt(destination))
    await guest.write64(at + 16, BigInt(source))
    await guest.write64(at + 24, BigInt(byteLength))
    this.#tail = (this.#tail + 1) % DESCRIPTORS
    await guest.write(this.at(BulkRegister.RING_TAIL), this.#tail)
    return at
  }
}
