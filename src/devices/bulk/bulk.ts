/**
 * bulk: a DMA engine with a large local memory, a register block and a descriptor ring.
 *
 * It exists to be migrated: any memory size, a seeded workload that dirties pages on its own clock,
 * PRE_COPY tracking of what it wrote, DMA logging of what it wrote to its host.
 *
 * @module
 */

import type { DeviceIdentity, DeviceRegions, Driver } from '../../device/driver.ts'
import { DirtyLog } from '../../device/dirty-log.ts'
import type { PciFunction } from '../../device/pci-function.ts'
import { PciSlot } from '../../device/pci-slot.ts'
import { type Compression, type DefinedDevice, defineDevice, type Tracking } from '../../driver/index.ts'
import { createEngine, type Engine } from '../../engine/index.ts'
import { type Awaitable, VfioError } from '../../errors.ts'
import type { SessionEnd } from '../../session/session-end.ts'
import type { DeviceState } from '../../uapi/index.ts'
import { BulkClock, CONTROL_WORKLOAD } from './bulk-clock.ts'
import { bulkPci, VECTORS } from './bulk-pci.ts'
import { bulkRegions } from './bulk-registers.ts'
import { BULK_STATE, type BulkSchema, BULK_VERSION } from './bulk-state.ts'
import type { HostMemory } from './descriptor-ring.ts'
import { fillSeeded } from './fill-seeded.ts'
import { type BulkWorkload, wholeSeed, workloadOf, workloadRegisters } from './pattern.ts'
import type { BulkP2pCounts } from './peer-dma.ts'
import { registerPeer } from './peer-link.ts'
import { PAGE_BYTES, workloadBytes } from './placement.ts'

const STAND_IN_BYTES: number = 1024 * 1024
const STAND_IN_ENGINE_BYTES: number = 8 * STAND_IN_BYTES

/** Options of {@link createBulk}. */
export interface BulkOptions {
  /** Local memory in bytes, any size from 0. */
  readonly memoryBytes: number
  /** Power-on memory is zero, or with a seed pseudo-random and non-zero in every page. */
  readonly seed?: number
  /**
   * How PRE_COPY finds written pages, default 'marked': bulk marks what it writes. 'hash' and 'diff' are for
   * hosts that write through the memory without telling it.
   */
  readonly tracking?: Tracking
  /** 'lz4' compresses the memory in the stream, for links below about 0.4 GB/s; default 'none'. */
  readonly compression?: Compression
  /** Default: a small shared engine, or one of its own for more than 8 MiB. */
  readonly engine?: Engine
  /** What the workload registers hold at power-on; without it the device is idle. */
  readonly workload?: BulkWorkload
  /**
   * Bytes at the end of memory, rounded up to pages, that the workload leaves alone: for hosts, and for
   * records of P2P peers. Default none, with `p2pPagesPerSecond` a sixteenth.
   */
  readonly reservedBytes?: number
  /** Memory that descriptors can read and write (DMA); without it that of the host at {@link BulkDriver.pci}. */
  readonly hostMemory?: HostMemory
  /** Called when the device raises its interrupt; never in a stopped state. */
  readonly onInterrupt?: () => void
}

/** Local memory from outside, as a host's mapping of a BAR. */
export interface BulkMemory {
  /** As it was created. */
  readonly byteLength: number
  /** Copies out; EINVAL outside, ENODEV while the device is not open. */
  read(offset: number, dst: Uint8Array): void
  /** Copies in and marks the pages; EBUSY in STOP_COPY and RESUMING. */
  write(offset: number, src: Uint8Array): void
}

/** The bulk driver; open it with `VfioDevice.open`. */
export interface BulkDriver extends Driver {
  /** Register access, by BAR: region 0 is the registers, 1 the descriptor ring, 2 local memory. */
  readonly regions: DeviceRegions
  /** bulk as a PCI function: what a bus shows of it, and where a host is plugged in. */
  readonly pci: PciFunction
  /** Local memory from outside. */
  readonly memory: BulkMemory
  /** DMA logging of what descriptors write to host memory. */
  readonly dirtyLog: DirtyLog
  /** Records that the workload has written since power-on, across migrations. */
  readonly sequence: bigint
  /** Records that it has sent to peers since power-on, across migrations; those of transfers under way too. */
  readonly p2pSequence: bigint
  /** Transfers between it and its peers. */
  readonly p2p: BulkP2pCounts
  /** What the workload registers hold now. */
  readonly workload: Required<BulkWorkload>
  /** Bytes at the end of memory that the workload leaves alone. */
  readonly reservedBytes: number
  /** Slows the workload by 0 to 99 percent. */
  throttle(percent: number): Awaitable<void>
  /** Interrupts raised since the driver was created. */
  readonly interrupts: number
}

/**
 * Creates a bulk device.
 *
 * @throws {@link VfioError} EINVAL when an option is out of range; ENOMEM comes from `VfioDevice.open`
 * @example
 * ```ts
 * import { VfioDevice } from 'stopcopy'
 * import { createBulk } from 'stopcopy/devices'
 * const bulk = createBulk({ memoryBytes: 64 * 1024 * 1024, workload: { pagesPerSecond: 20_000 } })
 * const device = await VfioDevice.open(bulk) // it works from now on, until STOP
 * ```
 */
export function createBulk(options: BulkOptions): BulkDriver {
  return new Bulk(options)
}

class Bulk implements BulkDriver {
  readonly dirtyLog: DirtyLog = new DirtyLog()
  readonly memory: BulkMemory
  readonly #device: DefinedDevice<BulkSchema, 'local'>
  readonly #clock: BulkClock
  readonly #options: BulkOptions
  #slot: PciSlot | undefined
  #pci: PciFunction | undefined
  #interrupts = 0

  constructor(options: BulkOptions) {
    this.#options = options
    const { memoryBytes, seed } = options
    const registers = workloadRegisters(options.workload ?? { pagesPerSecond: 0 })
    const reservedPages = pagesReserved(options)
    if (seed !== undefined) wholeSeed(seed)
    this.#clock = new BulkClock({
      hostMemory: () => options.hostMemory ?? this.#slot?.memory,
      dirtyLog: this.dirtyLog,
      raise: (bits) => {
        this.#interrupts++
        options.onInterrupt?.()
        for (let vector = 0; vector < VECTORS; vector++)
          if (((bits >> vector) & 1) !== 0) this.#slot?.raise(vector)
      },
    })
    this.#device = defineDevice({
      type: 'bulk',
      version: BULK_VERSION,
      state: BULK_STATE,
      memory: { local: { byteLength: memoryBytes, tracking: options.tracking ?? 'marked' } },
      dirtyLog: this.dirtyLog,
      compression: options.compression ?? 'none',
      ...(options.engine === undefined ? {} : { engine: options.engine }),
      resume: (context) => this.#clock.start(context),
      quiesce: (_context, arc) => this.#clock.quiesce(arc),
      quiesceP2p: (_context, arc) => this.#clock.quiesceP2p(arc),
      resumeP2p: () => this.#clock.resumeP2p(),
      throttle: (_context, percent) => this.#clock.throttle(percent),
      reset: async ({ state, memory }) => {
        Object.assign(state, registers, { reservedPages })
        state.control = registers.rate + registers.p2pRate > 0 ? CONTROL_WORKLOAD : 0
        if (seed !== undefined) await fillSeeded(memory.local.bytes, seed)
      },
      regions: (context) => bulkRegions(context, this.#clock),
    })
    registerPeer(this, this.#clock.peers)
    const region = (): BulkMemory => this.#device.memory.local
    this.memory = {
      byteLength: memoryBytes,
      read: (offset, dst) => region().read(offset, dst),
      write: (offset, src) => region().write(offset, src),
    }
  }

  get flags(): number {
    return this.#device.flags
  }

  get identity(): DeviceIdentity {
    return this.#device.identity
  }

  get regions(): DeviceRegions {
    return this.#device.regions as DeviceRegions
  }

  get pci(): PciFunction {
    return (this.#pci ??= this.#plugIn())
  }

  get sequence(): bigint {
    return this.#device.state.sequence
  }

  get p2pSequence(): bigint {
    return this.#device.state.p2pSequence
  }

  get p2p(): BulkP2pCounts {
    return this.#clock.peers.counts
  }

  get workload(): Required<BulkWorkload> {
    return workloadOf(this.#device.state)
  }

  get reservedBytes(): number {
    const { byteLength } = this.memory
    return byteLength - workloadBytes(byteLength, this.#device.state.reservedPages)
  }

  get interrupts(): number {
    return this.#interrupts
  }

  open(): Awaitable<void> {
    // It may have been closed in a state that is quiet towards peers.
    this.#clock.peers.resume()
    return this.#device.open?.()
  }

  async close(): Promise<void> {
    this.dirtyLog.stop()
    // Whatever is under way must not keep it open.
    this.#clock.stop()
    await this.#device.close?.()
  }

  transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Awaitable<void | SessionEnd> {
    return this.#device.transition(from, to, options)
  }

  stopCopyLength(): Awaitable<number> {
    return this.#device.stopCopyLength()
  }

  reset(): Awaitable<void> {
    this.#clock.stop()
    return this.#device.reset()
  }

  throttle(percent: number): Awaitable<void> {
    return this.#device.throttle?.(percent)
  }

  /** One of a megabyte that works. */
  async standIn(): Promise<Driver | undefined> {
    const { compression = 'none' } = this.#options
    const { variant } = this.#device.engine
    // Its kernels take seconds: more than can be gained.
    if (variant === 'reference') return undefined
    const engine = await createEngine({ memoryBytes: STAND_IN_ENGINE_BYTES, variant })
    return new Bulk({
      memoryBytes: STAND_IN_BYTES,
      seed: 1,
      workload: { pagesPerSecond: 2000 },
      compression,
      engine,
    })
  }

  #plugIn(): PciFunction {
    const ownMemory = this.#options.hostMemory !== undefined
    const slot = new PciSlot(() => {
      if (!ownMemory) this.#clock.hostGone()
    })
    this.#slot = slot
    return bulkPci({
      memoryBytes: this.memory.byteLength,
      revision: BULK_VERSION,
      intxAsserted: () => this.#clock.pendingInterrupts !== 0,
      connect: (host) => slot.connect(host),
    })
  }
}

/** Pages at the end of memory that the workload leaves alone at power-on. */
function pagesReserved({ memoryBytes, workload, reservedBytes }: BulkOptions): number {
  const fallback = workload?.p2pPagesPerSecond === undefined ? 0 : memoryBytes / 16
  if (reservedBytes === undefined) return Math.ceil(fallback / PAGE_BYTES)
  if (reservedBytes >= 0 && reservedBytes <= memoryBytes) return Math.ceil(reservedBytes / PAGE_BYTES)
  throw new VfioError(
    'EINVAL',
    `Cannot create bulk: ${reservedBytes} reserved bytes are out of range, use 0 to ${memoryBytes}`,
  )
}
