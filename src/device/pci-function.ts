/**
 * A device as a PCI function: what a bus shows of it beside its registers, and what it reaches outside itself.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'

/** A base address register. */
export interface PciBar {
  /** 0 to 5; also the region of `DeviceRegions` behind it. A 64-bit BAR takes the next one, too. */
  readonly index: number
  /** I/O ports or memory. */
  readonly kind: 'io' | 'memory'
  /** Bytes, a power of two; 4 or more of I/O, 16 or more of memory (4096 where it should be mappable). */
  readonly byteLength: number
  /** Memory only; default 32. */
  readonly bits?: 32 | 64
  /** Memory only; default false. */
  readonly prefetchable?: boolean
  /** Memory only: the file that its bytes are in, for users who can map it instead of asking for each access. */
  readonly file?: PciBarFile
}

/** The bytes of a BAR as a file, such as a memfd: the device maps it, too, and sees what users write. */
export interface PciBarFile {
  /** Stays the device's, and open as long as it is served. */
  readonly fd: number
  /** Where the BAR begins in it, bytes; default 0. A whole page where it should be mappable. */
  readonly offset?: bigint
  /** Which parts of the BAR can be mapped, whole pages; the rest is accessed by requests. Default: all of it. */
  readonly areas?: readonly { readonly offset: bigint; readonly size: bigint }[]
}

/** What a function reaches of the machine it is plugged into. */
export interface PciHost {
  /** Memory of the host by DMA address (IOVA): ENODEV, EFAULT, EPERM and the like when it is not there. */
  readonly memory: DmaMemory
  /**
   * Raises an interrupt by its vector. Where INTx is in use, every vector is the one line; where fewer vectors
   * are than the function has, those above are the last one. Nothing happens when nobody listens.
   */
  raise(vector: number): void
}

/** Host memory by DMA address. */
export interface DmaMemory {
  /** Fills `dst` with the bytes at `iova`. */
  read(iova: bigint, dst: Uint8Array): Awaitable<void>
  /** Stores `src` at `iova`. `src` must stay as it is until this settles. */
  write(iova: bigint, src: Uint8Array): Awaitable<void>
}

/** What a PCI bus sees. Numbers as in configuration space. */
export interface PciFunction {
  /** 16 bits. */
  readonly vendor: number
  /** 16 bits. */
  readonly device: number
  /** Default as `vendor` and `device`. */
  readonly subsystemVendor?: number
  /** As {@link subsystemVendor}. */
  readonly subsystemDevice?: number
  /** 24 bits: class, subclass, programming interface. */
  readonly classCode: number
  /** 8 bits. */
  readonly revision: number
  /** Those it has; each index once. */
  readonly bars: readonly PciBar[]
  /** Interrupts: `intx` 0 or 1, `msi` 0 to 32 (a power of two), `msix` 0 to 2048 vectors. */
  readonly interrupts: { readonly intx: 0 | 1; readonly msi: number; readonly msix: number }
  /** Whether it is on PCI Express: 4096 bytes of configuration space, power management; default false. */
  readonly express?: boolean
  /**
   * Level of the INTx line. A condition raises it once; who unmasks INTx while it is still asserted raises it
   * again, as the kernel does.
   */
  readonly intxAsserted: boolean
  /** Plugs it into a host; the result unplugs it. One host at a time: EBUSY. */
  connect(host: PciHost): () => void
}
