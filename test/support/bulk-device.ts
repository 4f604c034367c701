/** Bulk devices for tests: their registers, their clock, their content. @module */

import { vi } from 'vitest'
import type { BulkDriver } from '../../src/devices/index.ts'

/** A 32-bit register. */
export function register(bulk: BulkDriver, offset: number): number {
  const bytes = Buffer.alloc(4)
  bulk.regions.read(0, offset, bytes)
  return bytes.readUInt32LE()
}

export function setRegister(bulk: BulkDriver, offset: number, value: number): void {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  bulk.regions.write(0, offset, bytes)
}

/** Stores a descriptor; the doorbell is the caller's. */
export function post(
  bulk: BulkDriver,
  index: number,
  op: number,
  dst: bigint,
  src: bigint,
  byteLength: bigint,
): void {
  const entry = Buffer.alloc(32)
  entry.writeUInt32LE(op)
  entry.writeBigUInt64LE(dst, 8)
  entry.writeBigUInt64LE(src, 16)
  entry.writeBigUInt64LE(byteLength, 24)
  bulk.regions.write(1, index * 32, entry)
}

/** What became of a descriptor. */
export function descriptorStatus(bulk: BulkDriver, index: number): number {
  const word = Buffer.alloc(4)
  bulk.regions.read(1, index * 32 + 4, word)
  return word.readUInt32LE()
}

/** All memory. */
export function contents(bulk: BulkDriver): Buffer {
  const bytes = Buffer.alloc(bulk.memory.byteLength)
  bulk.memory.read(0, bytes)
  return bytes
}

/** Resolves when `seen` holds; the device's own clock brings it about. */
export async function until(seen: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!seen()) {
    if (Date.now() > end) throw new Error('the device never got there')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/**
 * Takes over the time that bulk's clock reads, which then stands still; restore it with
 * `vi.restoreAllMocks()`. An advance is what the clock sees after the event loop stood still as long.
 */
export function fakeTime(): { advance(ms: number): void } {
  // Whole, so that what is due is exact.
  let now = Math.ceil(performance.now())
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  return {
    advance(ms) {
      now += ms
    },
  }
}

/** Lets the device's clock tick, at least twice. */
export async function ticks(): Promise<void> {
  // The device's timers are as long and were made before.
  for (let n = 0; n < 3; n++) await new Promise((resolve) => setTimeout(resolve, 2))
}
