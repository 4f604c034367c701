/**
 * Who wrote to guest memory: the union of the DMA logs of all devices and of what the VMM itself wrote.
 *
 * Each log is asked in the page size its device really uses. After a report that failed everything is dirty,
 * and a log that fails twice in a row is not asked again: then, as for a device without logging, everything
 * is dirty when the devices have stopped.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { PageBits } from '../device/page-bits.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import { dmaBitmapByteLength } from '../uapi/dma-logging.ts'
import type { GuestMemoryLayout, GuestMemoryRange, PagedRange } from './guest-memory-layout.ts'
import type { PageSet } from './page-set.ts'

/** Reports in a row that may fail. */
const MOST_FAILURES = 1

/** ORs into `bitmap` what was written to `range` since the last call; bit n is page n of the range. */
type Report = (range: GuestMemoryRange, bitmap: Uint8Array) => Awaitable<void>

/** One of those who write. */
interface Log {
  readonly pageSize: number
  readonly report: Report
  /** Reused by all reports. */
  readonly bits: PageBits
  failures: number
}

/** The logs of one PRE_COPY: started once, stopped once. */
export class DirtyTracking {
  readonly #layout: GuestMemoryLayout
  readonly #devices: readonly MigrationDevice[]
  readonly #ownReport: Report | undefined
  #started: MigrationDevice[] = []
  #logs: Log[] = []
  #hasBlindSpot = false

  constructor(layout: GuestMemoryLayout, devices: readonly MigrationDevice[], ownReport?: Report) {
    this.#layout = layout
    this.#devices = devices
    this.#ownReport = ownReport
  }

  /** Writes may have gone unseen: everything must be taken for dirty once nobody writes any more. */
  get hasBlindSpot(): boolean {
    return this.#hasBlindSpot || this.#logs.some(({ failures }) => failures > MOST_FAILURES)
  }

  /**
   * Starts logging on every device that can; all or none.
   *
   * @throws {@link VfioError} what a device's start failed with, other than ENOTTY; EIO when it says it uses
   * pages of no size
   */
  async start(): Promise<void> {
    if (this.#ownReport !== undefined) this.#addLog(this.#layout.pageSize, this.#ownReport)
    try {
      for (const device of this.#devices) await this.#startOn(device)
    } catch (error) {
      await this.stop()
      throw error
    }
  }

  /** Adds to `dirty` what was written since the last report. Never fails: what is not known is dirty. */
  async report(dirty: PageSet): Promise<void> {
    const logs = this.#logs.filter(({ failures }) => failures <= MOST_FAILURES)
    await Promise.all(logs.map((log) => this.#reportOf(log, dirty)))
  }

  /** Stops logging wherever it was started; never fails, for whoever cannot be told is gone or reset. */
  async stop(): Promise<void> {
    const started = this.#started
    this.#started = []
    this.#logs = []
    await Promise.allSettled(started.map(async (device) => device.dmaLoggingStop()))
  }

  async #startOn(device: MigrationDevice): Promise<void> {
    const { pageSize, ranges } = this.#layout
    let used: number
    try {
      used = await device.dmaLoggingStart({
        pageSize,
        ranges: ranges.map(({ iova, length }) => ({ iova, length })),
      })
    } catch (error) {
      if (!VfioError.is(error, 'ENOTTY')) throw error
      this.#hasBlindSpot = true
      return
    }
    this.#started.push(device)
    if (!(Number.isSafeInteger(used) && used > 0 && Number.isInteger(Math.log2(used)))) {
      const { type } = device.identity
      throw new VfioError(
        'EIO',
        `Cannot log DMA of the "${type}": it says it uses pages of ${used} bytes, fix the device`,
      )
    }
    // Smaller pages are OR-ed by the device itself; of larger ones every page of ours is dirty.
    const asked = Math.max(used, pageSize)
    this.#addLog(asked, (range, bitmap) => device.dmaLoggingReport({ ...range, pageSize: asked }, bitmap))
  }

  #addLog(pageSize: number, report: Report): void {
    const longest = this.#layout.ranges.reduce((most, { length }) => (length > most ? length : most), 0n)
    const bits = new PageBits(dmaBitmapByteLength(longest, BigInt(pageSize)))
    this.#logs.push({ pageSize, report, bits, failures: 0 })
  }

  async #reportOf(log: Log, dirty: PageSet): Promise<void> {
    try {
      for (const range of this.#layout.ranges) {
        // Stopped meanwhile: what is logged from now on belongs to somebody else.
        if (!this.#logs.includes(log)) return
        await this.#reportRange(log, range, dirty)
      }
      log.failures = 0
    } catch {
      log.failures++
      dirty.addAll()
    }
  }

  async #reportRange({ pageSize, report, bits }: Log, range: PagedRange, dirty: PageSet): Promise<void> {
    const { iova, length, first, end } = range
    const bytes = bits.bytes.subarray(0, dmaBitmapByteLength(length, BigInt(pageSize)))
    bytes.fill(0)
    await report({ iova, length }, bytes)
    const scale = pageSize / this.#layout.pageSize
    const count = Math.ceil((end - first) / scale)
    for (let from = bits.nextSet(0, count); from < count;) {
      const to = bits.nextClear(from, count)
      dirty.add(first + from * scale, Math.min(first + to * scale, end))
      from = bits.nextSet(to, count)
    }
  }
}
