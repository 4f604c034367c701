/** Guest memory of a test: bytes behind ranges, devices that log what they write there, and its stream. @module */

import { DirtyLog } from '../../src/device/dirty-log.ts'
import type { MigrationDevice } from '../../src/device/migration-device.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { VfioError } from '../../src/errors.ts'
import type { GuestMemoryRange } from '../../src/migrate/guest-memory.ts'
import { decodeRecordHeader, RECORD_HEADER_BYTES } from '../../src/migrate/guest-memory-records.ts'
import type { MigrationSession } from '../../src/session/migration-session.ts'
import { ScriptedDriver } from './scripted-driver.ts'

export const PAGE = 4096

/** Two ranges far apart, the first of more than one record. */
export const RANGES: readonly GuestMemoryRange[] = [
  { iova: 0x10_0000n, length: 100n * 4096n },
  { iova: 0x1_0000_0000n, length: 30n * 4096n },
]

/** The memory of a VMM; the `dirty` of a source is up to the test. */
export class TestMemory {
  readonly pageSize = PAGE
  readonly ranges: readonly GuestMemoryRange[]
  readonly parts: readonly Uint8Array[]
  /** Runs before each access; throw to fail it, return a promise to delay it. */
  onAccess: (kind: 'read' | 'write', iova: bigint, byteLength: number) => void | Promise<void> = () => {}

  constructor(ranges: readonly GuestMemoryRange[] = RANGES) {
    this.ranges = ranges
    this.parts = ranges.map(({ length }) => new Uint8Array(Number(length)))
  }

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.parts))
  }

  /** Without `onAccess`: as the guest itself. */
  at(iova: bigint, byteLength: number): Uint8Array {
    const index = this.ranges.findIndex((range) => iova >= range.iova && iova < range.iova + range.length)
    const range = this.ranges[index]
    const offset = Number(iova - (range?.iova ?? 0n))
    if (range === undefined || offset + byteLength > Number(range.length))
      throw new Error('outside the ranges')
    return this.parts[index]!.subarray(offset, offset + byteLength)
  }

  async read(iova: bigint, dst: Uint8Array): Promise<void> {
    const bytes = this.at(iova, dst.length)
    await this.onAccess('read', iova, dst.length)
    dst.set(bytes)
  }

  async write(iova: bigint, src: Uint8Array): Promise<void> {
    const bytes = this.at(iova, src.length)
    await this.onAccess('write', iova, src.length)
    bytes.set(src)
  }

  /** No page is zero and no two are alike. */
  fill(): this {
    let page = 0
    for (const part of this.parts) {
      for (let at = 0; at < part.length; at += PAGE) part.fill((page++ % 255) + 1, at, at + PAGE)
    }
    return this
  }
}

/** A device with a log, and the log to mark; its DMA is whatever the test writes. */
export async function loggingDevice(): Promise<{ device: MigrationDevice; log: DirtyLog }> {
  const log = new DirtyLog()
  return { device: await VfioDevice.open(new ScriptedDriver({ dirtyLog: log })), log }
}

/** A device without DMA logging. */
export async function silentDevice(): Promise<MigrationDevice> {
  return VfioDevice.open(new ScriptedDriver())
}

/** What a session gives until it says ENOMSG or ends. */
export async function drain(session: MigrationSession, most = 50_000): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for (;;) {
    const piece = new Uint8Array(most)
    try {
      const byteLength = await session.read(piece)
      if (byteLength === 0) break
      pieces.push(piece.subarray(0, byteLength))
    } catch (error) {
      if (VfioError.is(error, 'ENOMSG')) break
      throw error
    }
  }
  return new Uint8Array(Buffer.concat(pieces))
}

/** A record of a stream: `pages` is its length in pages. */
export interface ReadRecord {
  readonly iova: bigint
  readonly pages: number
  readonly kind: number
}

/** The records of a stream, which must end with one. */
export function recordsOf(stream: Uint8Array): ReadRecord[] {
  const records: ReadRecord[] = []
  for (let at = 0; at < stream.length;) {
    const { iova, byteLength, kind } = decodeRecordHeader(stream.subarray(at, at + RECORD_HEADER_BYTES))
    records.push({ iova, pages: byteLength / PAGE, kind })
    at += RECORD_HEADER_BYTES + (kind === 1 ? byteLength : 0)
    if (at > stream.length) throw new Error('the stream ends inside a record')
  }
  return records
}

/** Addresses of the pages that a stream holds, in order. */
export function pagesOf(stream: Uint8Array): bigint[] {
  return recordsOf(stream).flatMap(({ iova, pages }) =>
    Array.from({ length: pages }, (_, page) => iova + BigInt(page * PAGE)),
  )
}
