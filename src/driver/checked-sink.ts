/**
 * The checked resuming session of a defined device.
 *
 * Pages land where they belong and are verified there; a device that leaves RESUMING without loading
 * goes back to power-on content. Register state lands in a staging block and reaches the device only
 * after everything was verified: checksums, ranges, the author's own `validate`.
 *
 * With a worker, payloads are verified there while the next ones come. A section that touches memory whose
 * check is still out waits for it (EAGAIN), and so does everything after the end of the stream.
 *
 * @module
 */

import type { Engine, PostedJob } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import {
  type Configuration,
  configurationDifference,
  PAGE_BYTES,
  type PlacedPayload,
  type SectionHeader,
  StreamFault,
  StreamReader,
  type StreamHandler,
  type StreamHeader,
  Tag,
} from '../format/index.ts'
import type { Absorbed, ResumeEnd, SessionWorker } from '../session/session-end.ts'
import { POLLOUT } from '../uapi/index.ts'
import { attachWorker } from './attach-worker.ts'
import { DeferredChecks } from './deferred-checks.ts'
import type { MemoryRegion } from './memory-region.ts'

/** Payloads below this many bytes are verified faster than a worker is told of them. */
const WORKER_BYTES = 32 * 1024

/** What the sink needs of its device. */
export interface CheckedSinkOptions {
  readonly engine: Engine
  readonly deviceType: string
  readonly deviceVersion: number
  /** The configuration this device would write at a version of its state. */
  readonly configurationAt: (version: number) => Configuration
  readonly regions: readonly MemoryRegion[]
  /** Bytes of packed state at a version. */
  readonly stateBytesAt: (version: number) => number
  /** 32 bytes of engine memory for zero scans. */
  readonly bitmap: number
}

/** The driver's side of a resuming session. */
export class CheckedSink implements ResumeEnd, StreamHandler {
  readonly direction = 'resume'
  readonly #options: CheckedSinkOptions
  readonly #reader: StreamReader
  #version = 0
  #staging = 0
  #ended = false
  #wake: () => void = () => {}
  #checks: DeferredChecks | undefined
  /** Whether the bytes of this call may be read after it. */
  #mayDefer = false
  /** The last check that was posted. */
  #posted: PostedJob | undefined
  /** Where the next payload goes. */
  #next = { pointer: 0, byteLength: 0 }
  #awaitsProgress = false
  #released: Promise<void> | undefined

  /** ENOMEM when the engine has no room. */
  constructor(options: CheckedSinkOptions) {
    this.#options = options
    this.#reader = new StreamReader(options.engine, this)
  }

  /** Version of the state in the stream. */
  get version(): number {
    return this.#version
  }

  /** Where the packed state of {@link version} stands, verified by checksum. */
  get staging(): number {
    return this.#staging
  }

  /** Refuses writes from outside until the end: what a stream brings and what a user stores must not mix. */
  freeze(): void {
    this.#setFrozen(true)
  }

  attach(wake: () => void): void {
    this.#wake = wake
  }

  async attachWorker(worker: SessionWorker): Promise<void> {
    const { engine } = this.#options
    const usable = (): boolean => !this.#ended && this.#checks === undefined
    await attachWorker(worker, engine, usable, (jobs) => {
      this.#checks = new DeferredChecks(engine, jobs, (error, { section, offset }) =>
        this.#reader.refuse(error, section, offset),
      )
    })
  }

  write(src: Uint8Array): number {
    // All or nothing: a section in the middle could have to wait.
    if (this.#checks !== undefined && this.#pending && this.#reader.failure === undefined) throw again()
    return this.#reader.write(src)
  }

  absorb(src: Uint8Array): Absorbed {
    this.#admit()
    this.#posted = undefined
    const byteLength = this.#deferring(() => this.#reader.take(src))
    const job = this.#posted as PostedJob | undefined
    const checks = this.#checks as DeferredChecks
    if (job === undefined) return { byteLength }
    const reading = {
      get settled() {
        return job.settled
      },
      wait: () => checks.settle(job),
    }
    return { byteLength, reading }
  }

  window(maxBytes: number): Uint8Array {
    this.#admit()
    return this.#reader.window(maxBytes)
  }

  commit(byteLength: number): void {
    this.#deferring(() => this.#reader.commit(byteLength))
  }

  poll(): number {
    if (!this.#blocked) return POLLOUT
    if (!this.#awaitsProgress) void this.#awaitProgress()
    return 0
  }

  async #awaitProgress(): Promise<void> {
    this.#awaitsProgress = true
    await this.#checks?.progress()
    this.#awaitsProgress = false
    this.#wake()
  }

  /** Resolves when no check is out: only then the stream can be used. At once without a worker. */
  async settled(): Promise<void> {
    while (this.#pending) await this.#checks?.progress()
  }

  /** After the end: settles when no other thread touches the device's memory any more. */
  get released(): Promise<void> | undefined {
    return this.#released
  }

  /**
   * RESUMING to STOP: the whole stream must have come.
   *
   * @throws {@link VfioError} EINVAL, with the content failure as its cause where there was one
   */
  finish(): void {
    const failure = this.#reader.failure
    if (failure === undefined) this.#reader.finish()
    else
      throw new VfioError(
        'EINVAL',
        `Cannot load device state: the stream was refused, reset the device (${failure.message})`,
        {
          cause: failure,
          ...(failure.section === undefined ? {} : { section: failure.section }),
          ...(failure.offset === undefined ? {} : { offset: failure.offset }),
        },
      )
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#setFrozen(false)
    this.#released = this.#checks?.end()?.then(() => this.#free())
    if (this.#released === undefined) this.#free()
  }

  header(header: StreamHeader): void {
    const { deviceType, deviceVersion } = this.#options
    if (header.opaque)
      throw new StreamFault(
        'EINVAL',
        'it holds the stream of an opaque device',
        'restore it to a device of that type',
      )
    if (header.deviceType !== deviceType)
      throw new StreamFault(
        'EINVAL',
        `it holds a "${header.deviceType}", this device is a "${deviceType}"`,
        'restore it to a device of that type',
      )
    if (header.deviceVersion < 1 || header.deviceVersion > deviceVersion)
      throw new StreamFault(
        'EOPNOTSUPP',
        `device version ${header.deviceVersion} is not one of 1 to ${deviceVersion} that this device loads`,
        'use a newer release of the device',
      )
    this.#version = header.deviceVersion
  }

  configuration(configuration: Configuration): void {
    const difference = configurationDifference(this.#options.configurationAt(this.#version), configuration)
    if (difference !== undefined)
      throw new StreamFault('EINVAL', difference, 'open the device with the same options')
    const bytes = this.#options.stateBytesAt(this.#version)
    if (bytes > 0) this.#staging = this.#options.engine.allocate(bytes)
  }

  place(section: SectionHeader): number | undefined {
    const base = section.tag === Tag.STATE ? this.#staging : this.#region(section).pages.pointer
    // Foreign pages go to a buffer first, and to their place when they were verified.
    if (base === undefined) return undefined
    const pointer = base + section.first * (section.tag === Tag.STATE ? 1 : PAGE_BYTES)
    this.#next = { pointer, byteLength: section.payloadBytes }
    return pointer
  }

  verify(payload: PlacedPayload): boolean {
    if (!this.#mayDefer || payload.section.payloadBytes < WORKER_BYTES) return false
    this.#posted = this.#checks?.post(payload)
    return this.#posted !== undefined
  }

  payload(section: SectionHeader, pointer: number): void {
    this.#next = { pointer: 0, byteLength: 0 }
    if (section.tag !== Tag.ZERO && section.tag !== Tag.PAGES) return
    const { engine, bitmap } = this.#options
    const { pages, byteLength: regionBytes } = this.#region(section)
    const from = section.first * PAGE_BYTES
    if (section.tag === Tag.PAGES) {
      if (pages.pointer === undefined) pages.copyIn(from, section.payloadBytes, pointer)
      return
    }
    const count = new DataView(engine.bytes.buffer, engine.bytes.byteOffset + pointer, 8).getUint32(0, true)
    const byteLength = Math.min(count * PAGE_BYTES, regionBytes - from)
    const clear = (): void => pages.clear(from, byteLength, bitmap)
    // The checks of foreign pages are never out: they are not placed.
    if (this.#checks === undefined || pages.pointer === undefined) clear()
    else this.#checks.afterwards(pages.pointer + from, byteLength, clear)
  }

  #region({ region }: SectionHeader): MemoryRegion {
    return this.#options.regions[region] as MemoryRegion
  }

  get #pending(): boolean {
    this.#checks?.reap()
    return this.#checks?.pending ?? false
  }

  /** Whether the next bytes must wait for the checks that are out. */
  get #blocked(): boolean {
    if (this.#checks === undefined || !this.#pending || this.#reader.failure !== undefined) return false
    return this.#reader.ended || this.#checks.overlaps(this.#next.pointer, this.#next.byteLength)
  }

  #admit(): void {
    if (this.#blocked) throw again()
  }

  #deferring<T>(call: () => T): T {
    this.#mayDefer = true
    try {
      return call()
    } finally {
      this.#mayDefer = false
    }
  }

  #free(): void {
    this.#reader.dispose()
    if (this.#staging !== 0) this.#options.engine.free(this.#staging)
    this.#staging = 0
  }

  #setFrozen(frozen: boolean): void {
    for (const region of this.#options.regions) region.frozen = frozen
  }
}

function again(): VfioError {
  return new VfioError(
    'EAGAIN',
    'Cannot write: earlier sections are still being verified, wait for POLLOUT',
    {
      syscall: 'write',
    },
  )
}
