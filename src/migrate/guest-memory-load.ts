/**
 * Guest memory as a resuming session writes it. Every value is checked before memory sees a byte.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import { driverError } from '../session/driver-error.ts'
import type { ResumeEnd } from '../session/session-end.ts'
import type { GuestMemoryLayout } from './guest-memory-layout.ts'
import {
  decodeRecordHeader,
  malformed,
  MAX_RECORD_BYTES,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  RecordKind,
} from './guest-memory-records.ts'
import { PageSet } from './page-set.ts'

/** Copies `src` to memory at `iova`. */
type WriteMemory = (iova: bigint, src: Uint8Array) => Awaitable<void>

/** One resuming session; holds one record at a time. */
export class GuestMemoryLoad implements ResumeEnd {
  readonly direction = 'resume'
  readonly #layout: GuestMemoryLayout
  readonly #writeMemory: WriteMemory
  readonly #covered: PageSet
  readonly #header: Uint8Array = new Uint8Array(RECORD_HEADER_BYTES)
  readonly #data: Uint8Array = new Uint8Array(MAX_RECORD_BYTES)
  #record: RecordHeader | undefined
  /** Bytes of the header, or of the record's data, that have come. */
  #filled = 0
  #failure: VfioError | undefined
  #applying: Promise<void> | undefined

  constructor(layout: GuestMemoryLayout, writeMemory: WriteMemory) {
    this.#layout = layout
    this.#writeMemory = writeMemory
    this.#covered = new PageSet(layout.pageCount)
  }

  /** Most bytes the next write takes: up to the end of a header or of a record. */
  get room(): number {
    if (this.#failure !== undefined) return 1
    return (this.#record === undefined ? RECORD_HEADER_BYTES : this.#record.byteLength) - this.#filled
  }

  /** @throws {@link VfioError} EPROTO a record that is malformed; EINVAL one for other memory; EAGAIN */
  write(src: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#applying !== undefined || src.length > this.room) {
      throw new VfioError('EAGAIN', 'Cannot write: a record is being stored, wait for it', {
        syscall: 'write',
      })
    }
    const target = this.#record === undefined ? this.#header : this.#data
    target.set(src, this.#filled)
    this.#filled += src.length
    if (this.#record === undefined && this.#filled === RECORD_HEADER_BYTES) this.#begin()
    return src.length
  }

  /**
   * Stores the record when it is complete.
   *
   * @throws {@link VfioError} what writing the memory failed with, which every later write throws again
   */
  async apply(): Promise<void> {
    const record = this.#failure === undefined ? this.#record : undefined
    const isZero = record?.kind === RecordKind.ZERO
    if (record === undefined || !(isZero || this.#filled === record.byteLength)) return
    if (isZero) this.#data.fill(0, 0, record.byteLength)
    this.#applying = this.#store(record)
    try {
      await this.#applying
    } finally {
      this.#applying = undefined
    }
  }

  /**
   * Leaving RESUMING for STOP.
   *
   * @throws {@link VfioError} EINVAL after a failure, inside a record, or when a page never came
   */
  async finish(): Promise<void> {
    await this.#applying?.catch(() => {})
    if (this.#failure !== undefined) {
      throw new VfioError('EINVAL', 'Cannot leave RESUMING: a write failed, reset the guest memory', {
        cause: this.#failure,
      })
    }
    const missing = this.#covered.pageCount - this.#covered.count
    if (missing === 0 && this.#record === undefined && this.#filled === 0) return
    const reason = missing > 0 ? `${missing} pages never came` : 'the stream ends inside a record'
    throw new VfioError('EINVAL', `Cannot leave RESUMING: ${reason}, write the rest of the stream`)
  }

  end(): void {}

  #begin(): void {
    try {
      const record = decodeRecordHeader(this.#header)
      this.#checkPlace(record)
      this.#record = record
      this.#filled = 0
    } catch (error) {
      this.#failure = error as VfioError
      throw error
    }
  }

  #checkPlace({ iova, byteLength }: RecordHeader): void {
    const { pageSize } = this.#layout
    const at = `${byteLength} bytes at 0x${iova.toString(16)}`
    if (iova % BigInt(pageSize) !== 0n || byteLength % pageSize !== 0) {
      throw malformed(`${at} are no whole pages of ${pageSize}`)
    }
    if (this.#layout.pagesOf(iova, byteLength) !== undefined) return
    throw new VfioError('EINVAL', `Cannot load guest memory: ${at} lie in no range, pass the same ranges`, {
      syscall: 'write',
    })
  }

  async #store(record: RecordHeader): Promise<void> {
    const { iova, byteLength } = record
    try {
      await this.#writeMemory(iova, this.#data.subarray(0, byteLength))
    } catch (error) {
      this.#failure = driverError(error, 'write', 'write guest memory')
      throw this.#failure
    }
    const pages = this.#layout.pagesOf(iova, byteLength)!
    this.#covered.add(pages.first, pages.end)
    this.#record = undefined
    this.#filled = 0
  }
}
