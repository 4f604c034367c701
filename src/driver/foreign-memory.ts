/**
 * A range of memory outside the engine: its bytes, and the space in which kernels work on them.
 *
 * What `allocate` gave is kept here, since it cannot be given back: the kernels' scratch and one piece per
 * record, used again by every device that is opened over the memory.
 *
 * @module
 */

import { type Engine, ForeignKernels, type KernelSpace, type LinearMemory } from '../engine/index.ts'
import { VfioError } from '../errors.ts'

/** The range, and what its owner allows. */
export interface ForeignRange {
  readonly byteOffset: number
  readonly byteLength: number
  readonly allocate: ((bytes: number) => number) | undefined
  readonly stable: boolean
}

/** What `wrapMemory` wraps. */
export class ForeignMemory {
  /** Where the range begins in its memory. */
  readonly byteOffset: number
  /** Bytes of the range. */
  readonly byteLength: number
  /** Whether pages may be handed out where they lie in STOP_COPY. */
  readonly stable: boolean
  readonly #memory: LinearMemory | ArrayBuffer
  readonly #allocate: ForeignRange['allocate']
  /** Pieces that `allocate` gave and nobody uses now, by length. */
  readonly #spare = new Map<number, number[]>()
  #kernels: ForeignKernels | undefined
  #taken = false

  /** Made by `wrapMemory`, which checks the range. */
  constructor(memory: LinearMemory | ArrayBuffer, range: ForeignRange) {
    this.#memory = memory
    this.byteOffset = range.byteOffset
    this.byteLength = range.byteLength
    this.stable = range.stable
    this.#allocate = range.allocate
  }

  /** Whether kernels run on the memory itself. */
  get inPlace(): boolean {
    return this.#allocate !== undefined
  }

  /** The range, in a view taken now. EFAULT when the memory was detached or has shrunk. */
  get bytes(): Uint8Array {
    const memory = this.#memory
    const buffer = memory instanceof ArrayBuffer ? memory : memory.buffer
    if (this.byteOffset + this.byteLength <= buffer.byteLength)
      return new Uint8Array(buffer, this.byteOffset, this.byteLength)
    throw new VfioError(
      'EFAULT',
      `Cannot reach foreign memory: ${this.byteLength} bytes at ${this.byteOffset} pass the ` +
        `${buffer.byteLength} bytes that are left of it, keep it for as long as the device is open`,
    )
  }

  /**
   * One device takes the memory.
   *
   * @throws {@link VfioError} EBUSY when another has it; with `allocate`, as `ForeignKernels.link`
   */
  async take(): Promise<void> {
    if (this.#taken)
      throw new VfioError(
        'EBUSY',
        'Cannot open the device: another one has its wrapped memory open, close that first',
      )
    this.#taken = true
    try {
      const memory = this.#memory
      if (this.#allocate !== undefined && !(memory instanceof ArrayBuffer))
        this.#kernels ??= await ForeignKernels.link(memory, this.#allocate)
    } catch (error) {
      this.#taken = false
      throw error
    }
  }

  /** The device lets go of it. */
  leave(): void {
    this.#taken = false
  }

  /** Where kernels work on the pages: in place, or in the engine, to which they are staged. */
  space(engine: Engine): KernelSpace {
    return this.#kernels ?? engine
  }

  /** Bytes of the space, with whatever content; ENOMEM. */
  allocate(engine: Engine, byteLength: number): number {
    const kernels = this.#kernels
    if (kernels === undefined) return engine.allocate(byteLength, 64)
    return this.#spare.get(byteLength)?.pop() ?? this.#checked(kernels.allocate(byteLength), byteLength)
  }

  /** Gives back what {@link allocate} gave. */
  free(engine: Engine, pointer: number, byteLength: number): void {
    if (this.#kernels === undefined) {
      engine.free(pointer)
      return
    }
    const spare = this.#spare.get(byteLength)
    if (spare === undefined) this.#spare.set(byteLength, [pointer])
    else spare.push(pointer)
  }

  #checked(pointer: number, byteLength: number): number {
    if (pointer + byteLength <= this.byteOffset || this.byteOffset + this.byteLength <= pointer)
      return pointer
    throw new VfioError(
      'EINVAL',
      `Cannot track foreign memory: allocate() gave ${pointer}, which lies in the wrapped range, ` +
        'return memory that nobody uses',
    )
  }
}

/** Regions, of which some may be foreign. */
type Regions = readonly { readonly foreign?: ForeignMemory | undefined }[]

/** Takes the foreign memory of all regions, or, as {@link ForeignMemory.take} throws, of none. */
export async function takeForeign(regions: Regions): Promise<void> {
  for (const [index, { foreign }] of regions.entries()) {
    try {
      await foreign?.take()
    } catch (error) {
      leaveForeign(regions.slice(0, index))
      throw error
    }
  }
}

/** Lets go of it. */
export function leaveForeign(regions: Regions): void {
  for (const { foreign } of regions) foreign?.leave()
}
