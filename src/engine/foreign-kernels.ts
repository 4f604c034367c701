/**
 * Kernels that run on a memory which is not an engine's: the module has no data segment and declares no
 * maximum, so it can be linked to the memory of another WebAssembly program and work on it in place.
 *
 * That program may grow its memory at any time, which detaches every view; views are therefore taken anew
 * at each call, and the kernels' own ones are made again after a growth.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { bestWasmVariant, wasmModule } from './builds.ts'
import { createKernels, SCRATCH_BYTES } from './create-kernels.ts'
import type { Kernels } from './engine.ts'
import type { KernelAbi } from './kernel-abi.ts'
import { loadKernels } from './load.ts'

/** A `WebAssembly.Memory`. */
export interface LinearMemory {
  /** Its bytes now: another buffer after each growth. */
  readonly buffer: ArrayBufferLike
  /** Adds pages of 64 KiB. */
  grow(delta: number): number
}

/** Kernels, and the memory that they work on. */
export interface KernelSpace {
  /** Their pointers are of this memory. */
  readonly kernels: Kernels
  /** The whole memory, at least until the next call of the program that owns it. */
  readonly bytes: Uint8Array
  /** Takes bytes of it; ENOMEM when there are none. */
  allocate(byteLength: number, alignment?: number): number
}

/** Alignment of what is asked for: a cache line. */
const ALIGNMENT = 64

/** One instance of the kernels over a foreign memory. */
export class ForeignKernels implements KernelSpace {
  readonly #memory: LinearMemory
  readonly #allocate: (bytes: number) => number
  readonly #abi: KernelAbi
  readonly #scratch: number
  #buffer: ArrayBufferLike
  #kernels: Kernels

  /**
   * Links kernels to the memory and takes their scratch from it.
   *
   * EOPNOTSUPP for a memory that they cannot be linked to, such as a 64-bit one; ENOMEM when `allocate` gives
   * none, EINVAL when what it gives lies outside the memory.
   *
   * @param allocate - takes bytes of the memory that its owner will not use, and never gives them back
   */
  static async link(memory: LinearMemory, allocate: (bytes: number) => number): Promise<ForeignKernels> {
    const shared = typeof SharedArrayBuffer === 'function' && memory.buffer instanceof SharedArrayBuffer
    const module = await wasmModule(bestWasmVariant() ?? 'baseline', shared)
    let abi: KernelAbi
    try {
      abi = loadKernels(module, memory as WebAssembly.Memory).abi
    } catch (error) {
      throw new VfioError(
        'EOPNOTSUPP',
        'Cannot scan foreign memory in place: the kernels cannot be linked to it, leave allocate out',
        { cause: error },
      )
    }
    return new ForeignKernels(memory, allocate, abi)
  }

  private constructor(memory: LinearMemory, allocate: (bytes: number) => number, abi: KernelAbi) {
    this.#memory = memory
    this.#allocate = allocate
    this.#abi = abi
    this.#scratch = this.allocate(SCRATCH_BYTES)
    this.#buffer = memory.buffer
    this.#kernels = createKernels(abi, this.#buffer, this.#scratch)
  }

  get kernels(): Kernels {
    const { buffer } = this.#memory
    if (buffer !== this.#buffer) {
      this.#buffer = buffer
      this.#kernels = createKernels(this.#abi, buffer, this.#scratch)
    }
    return this.#kernels
  }

  get bytes(): Uint8Array {
    return new Uint8Array(this.#memory.buffer)
  }

  /** Bytes of the foreign memory, for good and with whatever content; 0 bytes are pointer 0. */
  allocate(byteLength: number, alignment: number = ALIGNMENT): number {
    if (byteLength === 0) return 0
    // Whatever its alignment is, and whatever its sign: to JavaScript a pointer above 2 GiB is negative.
    const given = this.#allocate(byteLength + alignment) >>> 0
    if (given === 0) {
      throw new VfioError(
        'ENOMEM',
        `Cannot track foreign memory: allocate(${byteLength + alignment}) gave no pointer, let the memory grow`,
      )
    }
    const pointer = Math.ceil(given / alignment) * alignment
    if (given + byteLength + alignment > this.#memory.buffer.byteLength) {
      throw new VfioError(
        'EINVAL',
        `Cannot track foreign memory: allocate() gave ${given}, of which ${byteLength + alignment} bytes pass ` +
          `the memory's ${this.#memory.buffer.byteLength}, return a pointer into that memory`,
      )
    }
    return pointer
  }
}
