/**
 * Guest memory as a saving session reads it: sweeps over the pages that are to be sent.
 *
 * Memory and logs may answer later, a session's `read` may not: {@link GuestMemorySave.prepare} gets the
 * next records, one step at a time, and `read` hands them out, EAGAIN when there are none.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import { driverError } from '../session/driver-error.ts'
import type { PrecopyInfo, SaveEnd } from '../session/session-end.ts'
import { POLLIN, POLLRDNORM } from '../uapi/poll.ts'
import type { DirtyTracking } from './dirty-tracking.ts'
import type { GuestMemoryLayout } from './guest-memory-layout.ts'
import {
  encodeRecordHeader,
  MAX_RECORD_BYTES,
  RECORD_HEADER_BYTES,
  RecordKind,
} from './guest-memory-records.ts'
import { PageSet } from './page-set.ts'

/** How often an idle session looks for dirty pages while somebody waits for them. */
const LOOK_MS = 10

/** Counters are refreshed after this much was read, or this part of the memory where that is more. */
const REFRESH_BYTES = 1_048_576
const REFRESH_PARTS = 64

/** Copies memory at `iova` out. */
type ReadMemory = (iova: bigint, dst: Uint8Array) => Awaitable<void>

/** One saving session, in PRE_COPY with the logs, else stopped from the start. */
export class GuestMemorySave implements SaveEnd {
  readonly direction = 'save'
  readonly #layout: GuestMemoryLayout
  readonly #readMemory: ReadMemory
  readonly #tracking: DirtyTracking | undefined
  readonly #pending: PageSet
  readonly #pages: Uint8Array = new Uint8Array(MAX_RECORD_BYTES)
  readonly #words: Int32Array = new Int32Array(this.#pages.buffer as ArrayBuffer)
  readonly #headers: Uint8Array
  #staged: Uint8Array[] = []
  /** The sweep goes on here. */
  #cursor = 0
  #isFirstPass = true
  #stopped: boolean
  #over = false
  /** A fresh report found nothing: the next read says so. */
  #idle = false
  #readSinceReport = 0
  /** Steps that wait for memory or logs, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()
  #wake: () => void = () => {}

  constructor(layout: GuestMemoryLayout, readMemory: ReadMemory, tracking: DirtyTracking | undefined) {
    this.#layout = layout
    this.#readMemory = readMemory
    this.#tracking = tracking
    this.#stopped = tracking === undefined
    this.#headers = new Uint8Array((MAX_RECORD_BYTES / layout.pageSize) * RECORD_HEADER_BYTES)
    this.#pending = new PageSet(layout.pageCount)
    this.#pending.addAll()
  }

  /** Bytes STOP_COPY would still give: all of them where writes may have gone unseen. */
  get stopCopyBytes(): number {
    if (!this.#stopped && this.#tracking?.hasBlindSpot === true) return this.#layout.byteLength
    return this.#pending.count * this.#layout.pageSize + this.#stagedBytes
  }

  read(dst: Uint8Array): number {
    let filled = 0
    for (let piece = this.#staged[0]; piece !== undefined && filled < dst.length; piece = this.#staged[0]) {
      const part = piece.subarray(0, dst.length - filled)
      dst.set(part, filled)
      filled += part.length
      if (part.length === piece.length) this.#staged.shift()
      else this.#staged[0] = piece.subarray(part.length)
    }
    this.#readSinceReport += filled
    if (filled > 0) return filled
    if (this.#stopped ? this.#pending.count === 0 : this.#idle) {
      this.#idle = false
      return 0
    }
    throw new VfioError('EAGAIN', 'Cannot read: guest memory is being read, wait for it', { syscall: 'read' })
  }

  poll(): number {
    const hasMore = this.#staged.length > 0 || this.#pending.count > 0
    return hasMore || this.#stopped ? POLLIN | POLLRDNORM : 0
  }

  precopyInfo(): PrecopyInfo {
    const unread = this.#pending.count * this.#layout.pageSize + this.#stagedBytes
    const { pageCount, pageSize } = this.#layout
    const initialBytes = this.#isFirstPass ? (pageCount - this.#cursor) * pageSize + this.#stagedBytes : 0
    return { initialBytes, dirtyBytes: Math.max(unread - initialBytes, 0), reinit: false }
  }

  attach(wake: () => void): void {
    this.#wake = wake
  }

  end(): void {
    this.#over = true
  }

  /**
   * Gets the next records, or finds out that there are none.
   *
   * @throws {@link VfioError} what reading the memory failed with; its pages are still to be sent
   */
  prepare(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#over || this.#staged.length > 0) return
      if (this.#pending.count === 0 && !this.#stopped) {
        await this.#report()
        this.#idle = this.#pending.count === 0
      }
      if (this.#pending.count > 0) await this.#stage()
    })
  }

  /** Looks at the logs again when much was read since, or nothing is left that was known. */
  refresh(): Promise<void> {
    return this.#inTurn(async () => {
      const due = Math.max(REFRESH_BYTES, this.#layout.byteLength / REFRESH_PARTS)
      if (this.#pending.count === 0 || this.#readSinceReport >= due) await this.#report()
    })
  }

  /** Everybody has stopped writing: the last report. */
  stop(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#report()
      if (this.#tracking?.hasBlindSpot === true) this.#pending.addAll()
      this.#stopped = true
    })
  }

  /** Looks for dirty pages now and then, until the returned function is called. */
  watch(): () => void {
    if (this.#stopped) return () => {}
    let looking = false
    const look = async (): Promise<void> => {
      if (looking || this.#pending.count > 0) return
      looking = true
      await this.refresh()
      looking = false
      if (this.#pending.count > 0) this.#wake()
    }
    const timer = setInterval(() => void look(), LOOK_MS)
    return () => clearInterval(timer)
  }

  get #stagedBytes(): number {
    return this.#staged.reduce((total, { length }) => total + length, 0)
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(step)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #report(): Promise<void> {
    if (this.#over || this.#stopped) return
    this.#readSinceReport = 0
    await this.#tracking?.report(this.#pending)
    if (this.#pending.count > 0) this.#idle = false
  }

  /** Pages leave the set before they are read: what is written meanwhile is in the next report. */
  async #stage(): Promise<void> {
    const { pageSize, pageCount } = this.#layout
    let first = this.#pending.next(this.#cursor)
    if (first === pageCount) {
      this.#isFirstPass = false
      first = this.#pending.next(0)
    }
    const range = this.#layout.rangeOf(first)
    const most = Math.min(first + MAX_RECORD_BYTES / pageSize, range.end)
    const end = this.#pending.nextMissing(first, most)
    const iova = this.#layout.addressOf(range, first)
    const byteLength = (end - first) * pageSize
    this.#pending.removeRun(first, end)
    try {
      await this.#readMemory(iova, this.#pages.subarray(0, byteLength))
    } catch (error) {
      this.#pending.add(first, end)
      throw driverError(error, 'read', 'read guest memory')
    }
    this.#cursor = end
    this.#stageRecords(iova, byteLength)
  }

  #stageRecords(iova: bigint, byteLength: number): void {
    const { pageSize } = this.#layout
    let headerAt = 0
    for (let from = 0; from < byteLength;) {
      const isZero = this.#isZero(from)
      let to = from + pageSize
      while (to < byteLength && this.#isZero(to) === isZero) to += pageSize
      encodeRecordHeader(this.#headers, headerAt, {
        iova: iova + BigInt(from),
        byteLength: to - from,
        kind: isZero ? RecordKind.ZERO : RecordKind.DATA,
      })
      this.#staged.push(this.#headers.subarray(headerAt, headerAt + RECORD_HEADER_BYTES))
      if (!isZero) this.#staged.push(this.#pages.subarray(from, to))
      headerAt += RECORD_HEADER_BYTES
      from = to
    }
  }

  /** Whether the page at `offset` of the pages read is all zero. */
  #isZero(offset: number): boolean {
    const words = this.#words
    const end = (offset + this.#layout.pageSize) / 4
    // Eight at a time: one branch for them all, and a page that holds something mostly shows it at once.
    for (let at = offset / 4; at < end; at += 8) {
      const low = words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!
      const high = words[at + 4]! | words[at + 5]! | words[at + 6]! | words[at + 7]!
      if ((low | high) !== 0) return false
    }
    return true
  }
}
