/**
 * `defineDevice`: a driver from a state schema and memory regions. Sessions, stream format, dirty
 * tracking and PRE_COPY come with it.
 *
 * @module
 */

import type {
  ConfigurationValue,
  DeviceIdentity,
  DeviceRegions,
  DirtyLogOps,
  Driver,
} from '../device/driver.ts'
import { DirtyLog } from '../device/dirty-log.ts'
import { createEngine, defaultEngine, type Engine } from '../engine/index.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import type { ChecksumKind } from '../format/index.ts'
import type { SessionEnd } from '../session/session-end.ts'
import { DeviceState, MigrationFlag } from '../uapi/index.ts'
import type { Compression } from './compressed-frames.ts'
import { DeviceBlueprint, type MemoryDefinition } from './device-blueprint.ts'
import { LiveDevice } from './live-device.ts'
import type { DeviceMemory, MemoryRegion } from './memory-region.ts'
import { RegionLog } from './region-log.ts'
import type { LiveState, Schema } from './schema.ts'
import { standInDefinition } from './stand-in.ts'

/** What an author's callbacks get: the state and the memory regions by name. */
export interface DeviceContext<S extends Schema, M extends string> {
  /** Register state by the names of the schema. */
  readonly state: LiveState<S>
  /** Memory regions by name. */
  readonly memory: Readonly<Record<M, DeviceMemory>>
}

/** What a device is and does; see {@link defineDevice}. */
export interface DeviceDefinition<S extends Schema, M extends string = never> {
  /** Device type, at most 48 bytes of UTF-8; source and destination must agree. */
  readonly type: string
  /** Version of the state, 1 and up: raise it when a field is added, with `since` on the field. */
  readonly version: number
  /** Capability flags, default 7 (STOP_COPY, P2P and PRE_COPY). */
  readonly flags?: number
  /** Register state, in wire order. */
  readonly state: S
  /** Memory regions by name; page-granular PRE_COPY tracks what is written to them. */
  readonly memory?: Readonly<Record<M, MemoryDefinition>>
  /** Options in which source and destination must agree, besides the state and the regions. */
  readonly configuration?: Readonly<Record<string, ConfigurationValue>>
  /** Default: a small shared engine, or one of its own for more than 8 MiB of memory and state. */
  readonly engine?: Engine
  /** Checksums of the stream, default 'xxh3'; 'crc32c' for interoperability. */
  readonly checksum?: ChecksumKind
  /**
   * 'lz4' sends memory pages as LZ4 blocks where that saves at least an eighth, default 'none': it pays on
   * links below about 0.4 GB/s. Any device of the type loads either. All frames leased out is then EAGAIN
   * in STOP_COPY too, and `stopCopyLength` an upper bound.
   */
  readonly compression?: Compression
  /** Stops all work: after it the device changes nothing by itself. A throw keeps it running. */
  quiesce?(device: DeviceContext<S, M>, options: { signal: AbortSignal }): Awaitable<void>
  /**
   * Writes state that the model keeps elsewhere to `state` and `memory`: called before a saving session looks
   * at them, while the device runs (PRE_COPY begins; an early picture, so that less is left), when it has
   * stopped (STOP_COPY begins), and when their length is asked for. Memory written here must be marked,
   * unless tracking finds it.
   */
  capture?(device: DeviceContext<S, M>, options: { running: boolean }): Awaitable<void>
  /**
   * Takes restored state and memory over to where the model keeps them; the device is still in RESUMING. A
   * throw refuses the stream, and the device is reset before it runs again.
   */
  load?(device: DeviceContext<S, M>): Awaitable<void>
  /** Starts work; also called at open and after a reset (then {@link resumeP2p}, where peers were shut out). */
  resume?(device: DeviceContext<S, M>): Awaitable<void>
  /** Stops starting peer-to-peer DMA and finishes what is under way. Needed only with peers. */
  quiesceP2p?(device: DeviceContext<S, M>, options: { signal: AbortSignal }): Awaitable<void>
  /** Allows peer-to-peer DMA again. */
  resumeP2p?(device: DeviceContext<S, M>): Awaitable<void>
  /**
   * Slows the device's own work by `percent`, 0 to 99; called with 0 at a reset, a load and a close of a
   * device that is slowed. Absent: ENOTTY.
   */
  throttle?(device: DeviceContext<S, M>, percent: number): Awaitable<void>
  /** Writes power-on content; the state holds its defaults and the memory is zero. */
  reset?(device: DeviceContext<S, M>): Awaitable<void>
  /** Looks at restored state before the device gets it; returns in words what is wrong, or throws. */
  validate?(state: LiveState<S>): string | undefined | void
  /** Register access. */
  regions?(device: DeviceContext<S, M>): DeviceRegions
  /** DMA logging; with a region that has an `iova` a {@link DirtyLog}, or none for one of its own. */
  readonly dirtyLog?: DirtyLogOps
}

/** A driver whose state and memory can be looked at while it is open (ENODEV otherwise). */
export interface DefinedDevice<S extends Schema, M extends string> extends Driver, DeviceContext<S, M> {
  /** Whose memory holds state and regions. */
  readonly engine: Engine
}

/** Memory and state above which a device makes an engine of its own. */
const OWN_ENGINE_BYTES = 8 * 1024 * 1024

/**
 * Builds a driver from a state schema and memory regions.
 *
 * @throws {@link VfioError} EINVAL when the definition makes no sense
 * @example
 * ```ts
 * import { defineDevice, u32, VfioDevice } from 'stopcopy'
 * const counter = defineDevice({ type: 'counter', version: 1, state: { ticks: u32() } })
 * const device = await VfioDevice.open(counter)
 * counter.state.ticks = 42
 * console.log(await device.stopCopyLength()) // bytes that STOP_COPY would deliver
 * await device.close()
 * ```
 */
export function defineDevice<S extends Schema, M extends string = never>(
  definition: DeviceDefinition<S, M>,
): DefinedDevice<S, M> {
  return new SchemaDriver(definition)
}

class SchemaDriver<S extends Schema, M extends string> implements DefinedDevice<S, M> {
  readonly flags: number
  readonly identity: DeviceIdentity
  readonly regions: DeviceRegions | undefined
  readonly dirtyLog: DirtyLogOps | undefined
  /** Absent where the author has none, which is ENOTTY. */
  readonly throttle?: (percent: number) => Promise<void>
  readonly #definition: DeviceDefinition<S, M>
  readonly #blueprint: DeviceBlueprint
  #live: LiveDevice<S, M> | undefined

  constructor(definition: DeviceDefinition<S, M>) {
    this.#definition = definition
    this.flags = definition.flags ?? MigrationFlag.STOP_COPY | MigrationFlag.P2P | MigrationFlag.PRE_COPY
    this.#blueprint = new DeviceBlueprint(definition)
    this.identity = this.#blueprint.identity
    this.dirtyLog = this.#blueprint.regions.some(({ iova }) => iova !== undefined)
      ? this.#regionLog()
      : definition.dirtyLog
    this.regions = definition.regions === undefined ? undefined : this.#gatedRegions()
    if (definition.throttle !== undefined) this.throttle = (percent) => this.#opened.throttle(percent)
  }

  get engine(): Engine {
    return this.#opened.engine
  }

  get state(): LiveState<S> {
    return this.#opened.state
  }

  get memory(): Readonly<Record<M, DeviceMemory>> {
    return this.#opened.memory
  }

  async open(): Promise<void> {
    const { residentBytes, layout } = this.#blueprint
    const engine =
      this.#definition.engine ??
      (residentBytes + layout.liveBytes > OWN_ENGINE_BYTES
        ? await createEngine({ memoryBytes: this.#blueprint.engineBytes })
        : await defaultEngine())
    this.#live = await LiveDevice.open(engine, this.#blueprint, this.#definition)
  }

  async close(): Promise<void> {
    const live = this.#live
    this.#live = undefined
    await live?.close()
  }

  transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Awaitable<void | SessionEnd> {
    return this.#opened.transition(from, to, options)
  }

  async standIn(): Promise<Driver | undefined> {
    const definition = await standInDefinition(this.engine.variant)
    return definition && new SchemaDriver(definition)
  }

  stopCopyLength(): Awaitable<number> {
    return this.#opened.stopCopyLength()
  }

  reset(): Promise<void> {
    return this.#opened.reset()
  }

  get #opened(): LiveDevice<S, M> {
    if (this.#live !== undefined) return this.#live
    throw new VfioError(
      'ENODEV',
      `Cannot use device "${this.#definition.type}": it is not open, open it with VfioDevice.open`,
    )
  }

  #regionLog(): DirtyLogOps {
    const { dirtyLog = new DirtyLog(), type } = this.#definition
    if (dirtyLog instanceof DirtyLog)
      return new RegionLog(dirtyLog, () => ({
        engine: this.engine,
        regions: Object.values<MemoryRegion>(this.#opened.memory),
      }))
    throw new VfioError(
      'EINVAL',
      `Cannot define device "${type}": a region has an iova and its dirtyLog cannot be marked, use a DirtyLog`,
    )
  }

  /** The author's registers; looked up per open, since the context is new each time. */
  #gatedRegions(): DeviceRegions {
    return {
      read: (index, offset, dst) => this.#opened.regions.read(index, offset, dst),
      write: (index, offset, src) => this.#opened.regions.write(index, offset, src),
    }
  }
}
