/**
 * A defined device while it is open: its memory, its sessions and its arcs.
 *
 * @module
 */

import { ArcOptions } from '../device/arc-options.ts'
import type { DeviceRegions } from '../device/driver.ts'
import type { Engine } from '../engine/index.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import { encodeConfiguration } from '../format/index.ts'
import type { SessionEnd } from '../session/session-end.ts'
import { DeviceState } from '../uapi/index.ts'
import { CheckedSink } from './checked-sink.ts'
import { CheckedSource } from './checked-source.ts'
import type { DeviceContext, DeviceDefinition } from './define-device.ts'
import type { DeviceBlueprint } from './device-blueprint.ts'
import { faultReason, type LayoutProgram, loadProgram } from './layout-program.ts'
import { applyDefaults, liveState } from './live-state.ts'
import { leaveForeign, takeForeign } from './foreign-memory.ts'
import { MemoryRegion } from './memory-region.ts'
import { CURSOR_BYTES } from './page-runs.ts'
import type { LiveState, Schema } from './schema.ts'
import { wholeStreamBytes } from './stream-length.ts'

const { STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = DeviceState
/** Memory between two turns of the event loop while it is cleared. */
const CLEAR_SLICE_BYTES = 64 * 1024 * 1024

/** One open device. */
export class LiveDevice<S extends Schema, M extends string> implements DeviceContext<S, M> {
  readonly engine: Engine
  readonly state: LiveState<S>
  readonly memory: Readonly<Record<M, MemoryRegion>>
  readonly #blueprint: DeviceBlueprint
  readonly #definition: DeviceDefinition<S, M>
  readonly #regions: readonly MemoryRegion[]
  readonly #program: LayoutProgram
  readonly #live: number
  /** Work bytes of scans: a cursor's, or the bitmap of a zero scan. */
  readonly #scan: number
  #registers: DeviceRegions | undefined
  #source: CheckedSource | undefined
  #sink: CheckedSink | undefined
  /** Settles when no worker reads for a saving session that has ended. */
  #letGo: Promise<void> | undefined
  /** Whether `resume` was called and `quiesce` was not. */
  #running = false
  /** Whether `quiesceP2p` was called and `resumeP2p` was not. */
  #quietToPeers = false
  /** Whether the author may have to be told of full speed. */
  #throttled = false

  /** Takes all memory, writes power-on content and starts the device. ENOMEM takes nothing. */
  static async open<S extends Schema, M extends string>(
    engine: Engine,
    blueprint: DeviceBlueprint,
    definition: DeviceDefinition<S, M>,
  ): Promise<LiveDevice<S, M>> {
    await takeForeign(blueprint.regions)
    let device: LiveDevice<S, M>
    try {
      device = new LiveDevice(engine, blueprint, definition)
    } catch (error) {
      leaveForeign(blueprint.regions)
      throw error
    }
    try {
      // Fresh memory is zero already, and untouched pages cost no physical memory.
      await device.#initialize()
      await device.#start()
    } catch (error) {
      device.#free()
      throw error
    }
    return device
  }

  private constructor(engine: Engine, blueprint: DeviceBlueprint, definition: DeviceDefinition<S, M>) {
    this.engine = engine
    this.#blueprint = blueprint
    this.#definition = definition
    const regions: MemoryRegion[] = []
    let live: number | undefined
    let scan: number | undefined
    try {
      for (const region of blueprint.regions) regions.push(new MemoryRegion(engine, region))
      live = engine.allocate(blueprint.layout.liveBytes)
      scan = engine.allocate(CURSOR_BYTES)
      this.#program = loadProgram(engine, blueprint.layout, blueprint.version)
    } catch (error) {
      for (const region of regions) region.free()
      if (live !== undefined) engine.free(live)
      if (scan !== undefined) engine.free(scan)
      throw error
    }
    this.#regions = regions
    this.#live = live
    this.#scan = scan
    this.state = liveState<S>(engine, blueprint.layout, live)
    this.memory = Object.fromEntries(regions.map((region) => [region.name, region])) as Record<
      M,
      MemoryRegion
    >
  }

  /** The author's register access; made on first use. */
  get regions(): DeviceRegions {
    this.#registers ??= this.#definition.regions?.(this)
    return this.#registers as DeviceRegions
  }

  async close(): Promise<void> {
    try {
      await this.#sink?.released
      await this.#letGo
      await this.#halt(new ArcOptions())
      await this.#fullSpeed()
    } finally {
      this.#free()
    }
  }

  stopCopyLength(): Awaitable<number> {
    // In ERROR the session is over, and its memory may be another's.
    if (this.#source?.ended === false) return this.#source.remainingBytes
    // What is kept elsewhere must not overwrite what a stream brings.
    if (this.#definition.capture === undefined || this.#sink !== undefined) return this.#wholeStreamBytes()
    const captured = this.#definition.capture(this, { running: this.#running })
    return Promise.resolve(captured).then(() => this.#wholeStreamBytes())
  }

  #wholeStreamBytes(): number {
    return wholeStreamBytes(this.engine, this.#regions, {
      configurationBytes: this.#configuration().length,
      stateBytes: this.#program.packedBytes,
      cursor: this.#scan,
    })
  }

  /** The arcs of flag sets 1, 3, 5 and 7. */
  async transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Promise<void | SessionEnd> {
    if (to === PRE_COPY_P2P || (to === RUNNING_P2P && from === RUNNING)) {
      // RUNNING_P2P to PRE_COPY_P2P opens a session; the device is quiet towards its peers already.
      if (from === RUNNING_P2P) return this.#openRunning()
      await this.#definition.quiesceP2p?.(this, options)
      this.#quietToPeers = true
      return undefined
    }
    if (from === PRE_COPY_P2P && to === PRE_COPY) return this.#resumeP2p()
    if (from === RUNNING_P2P && to === RUNNING) return this.#resumeP2p()
    if (to === PRE_COPY) return this.#openRunning()
    if (to === STOP_COPY && from === STOP) {
      await this.#definition.capture?.(this, { running: false })
      return this.#snapshot(this.#openSource(false))
    }
    if (to === STOP_COPY) {
      await this.#halt(options)
      await this.#definition.capture?.(this, { running: false })
      const source = this.#source as CheckedSource
      await source.findUnmarked()
      this.#snapshot(source)
      return undefined
    }
    if (to === RESUMING) return this.#openSink()
    if (from === RESUMING) return this.#load()
    if (from === STOP_COPY || from === PRE_COPY || from === PRE_COPY_P2P) {
      this.#source = undefined
      return undefined
    }
    if (to === STOP) return this.#halt(options)
    if (from === STOP) return this.#start()
    return undefined
  }

  /** Power-on content and running again; sessions have ended. */
  async reset(): Promise<void> {
    // A worker may still write what the session gave it; nothing may be cleared or run before.
    await this.#sink?.released
    this.#source = undefined
    this.#sink = undefined
    await this.#halt(new ArcOptions())
    await this.#fullSpeed()
    await this.#powerOnContent()
    await this.#start()
    await this.#resumeP2p()
  }

  /** The author's `throttle`, which the caller has found to be there. */
  async throttle(percent: number): Promise<void> {
    // What a failed call left is unknown: full speed is asked for then, too.
    this.#throttled ||= percent > 0
    await this.#definition.throttle?.(this, percent)
    this.#throttled = percent > 0
  }

  async #fullSpeed(): Promise<void> {
    if (this.#throttled) await this.throttle(0)
  }

  async #start(): Promise<void> {
    if (this.#running) return
    await this.#definition.resume?.(this)
    this.#running = true
  }

  async #halt(options: { signal: AbortSignal }): Promise<void> {
    if (!this.#running) return
    await this.#definition.quiesce?.(this, options)
    this.#running = false
  }

  async #resumeP2p(): Promise<void> {
    if (!this.#quietToPeers) return
    await this.#definition.resumeP2p?.(this)
    this.#quietToPeers = false
  }

  async #powerOnContent(): Promise<void> {
    const { engine } = this
    let sincePause = 0
    // Clearing pauses; what is written meanwhile must not survive it.
    for (const region of this.#regions) region.frozen = true
    for (const region of this.#regions)
      for (let at = 0; at < region.byteLength; at += CLEAR_SLICE_BYTES) {
        const byteLength = Math.min(CLEAR_SLICE_BYTES, region.byteLength - at)
        region.pages.clear(at, byteLength, this.#scan)
        sincePause += byteLength
        if (sincePause < CLEAR_SLICE_BYTES) continue
        sincePause = 0
        await new Promise((resolve) => setTimeout(resolve))
      }
    for (const region of this.#regions) region.frozen = false
    engine.bytes.fill(0, this.#live, this.#live + this.#blueprint.layout.liveBytes)
    await this.#initialize()
  }

  async #initialize(): Promise<void> {
    const { engine } = this
    applyDefaults(engine, this.#blueprint.layout, this.#live, 0)
    await this.#definition.reset?.(this)
  }

  async #openRunning(): Promise<CheckedSource> {
    await this.#definition.capture?.(this, { running: true })
    return this.#openSource(true)
  }

  #openSource(running: boolean): CheckedSource {
    this.#source = new CheckedSource({
      engine: this.engine,
      checksum: this.#blueprint.checksum,
      compression: this.#blueprint.compression,
      deviceType: this.#blueprint.type,
      deviceVersion: this.#blueprint.version,
      fingerprint: this.#blueprint.identity.fingerprint,
      configuration: this.#configuration(),
      regions: this.#regions,
      stateBytes: this.#program.packedBytes,
      running,
      onRelease: (released) => {
        this.#letGo = released
      },
    })
    return this.#source
  }

  /** Packs the registers into the session's own copy: later register writes do not reach the stream. */
  #snapshot(source: CheckedSource): CheckedSource {
    const { pointer, byteLength } = this.#program
    this.engine.kernels.layoutPack(pointer, byteLength, source.statePointer, this.#live)
    source.enterStopCopy()
    return source
  }

  /** The sink takes its memory first: ENOMEM must not cost the content of a device that then runs on. */
  async #openSink(): Promise<CheckedSink> {
    const blueprint = this.#blueprint
    const sink = new CheckedSink({
      engine: this.engine,
      deviceType: blueprint.type,
      deviceVersion: blueprint.version,
      configurationAt: (version) => blueprint.configurationAt(version),
      regions: this.#regions,
      stateBytesAt: (version) => blueprint.stateBytesAt(version),
      bitmap: this.#scan,
    })
    try {
      await this.#fullSpeed()
      await this.#powerOnContent()
    } catch (error) {
      sink.end()
      throw error
    }
    sink.freeze()
    this.#sink = sink
    return sink
  }

  /** RESUMING to STOP: all checks first, then the live state. */
  async #load(): Promise<void> {
    const sink = this.#sink as CheckedSink
    await sink.settled()
    sink.finish()
    const { engine } = this
    const { layout, version } = this.#blueprint
    let program = this.#program
    try {
      if (sink.version !== version) program = loadProgram(engine, layout, sink.version)
      if (this.#definition.validate === undefined) {
        const fault = engine.kernels.layoutValidate(program.pointer, program.byteLength, sink.staging)
        if (fault !== undefined) throw refusal(faultReason(engine, program.checks, sink.staging, fault))
        // Of its own version, a stream brings every field.
        if (sink.version !== version) engine.bytes.fill(0, this.#live, this.#live + layout.liveBytes)
        this.#unpack(program, sink, this.#live)
      } else this.#loadValidated(program, sink)
      await this.#definition.load?.(this)
    } catch (error) {
      throw VfioError.is(error)
        ? error
        : refusal(error instanceof Error ? error.message : String(error), error)
    } finally {
      if (program !== this.#program) engine.free(program.pointer)
    }
    this.#sink = undefined
  }

  /** The author looks at a candidate beside the live state. */
  #loadValidated(program: LayoutProgram, sink: CheckedSink): void {
    const { engine } = this
    const { layout } = this.#blueprint
    const candidate = engine.allocate(layout.liveBytes)
    try {
      this.#unpack(program, sink, candidate)
      const reason = this.#definition.validate?.(liveState<S>(engine, layout, candidate))
      if (typeof reason === 'string') throw refusal(reason)
      engine.kernels.copy(this.#live, candidate, layout.liveBytes)
    } finally {
      engine.free(candidate)
    }
  }

  /** Fills zeroed memory with the sink's state, and defaults where its version has none. */
  #unpack({ pointer, byteLength, checks }: LayoutProgram, sink: CheckedSink, live: number): void {
    const { engine } = this
    applyDefaults(engine, this.#blueprint.layout, live, sink.version)
    const fault = engine.kernels.layoutUnpack(pointer, byteLength, live, sink.staging)
    if (fault !== undefined) throw refusal(faultReason(engine, checks, sink.staging, fault))
  }

  #configuration(): Uint8Array {
    return encodeConfiguration(this.#blueprint.identity.configuration ?? {})
  }

  #free(): void {
    for (const region of this.#regions) region.free()
    leaveForeign(this.#blueprint.regions)
    this.engine.free(this.#live)
    this.engine.free(this.#scan)
    this.engine.free(this.#program.pointer)
  }
}

function refusal(reason: string, cause?: unknown): VfioError {
  return new VfioError(
    'EINVAL',
    `Cannot load device state: ${reason}, reset the device and restore another save`,
    {
      cause,
    },
  )
}
