/**
 * The register block (region 0) and the descriptor ring (region 1) of bulk.
 *
 * ```text
 * region 0, little endian
 * 0x00 u32 ID, read-only           0x20 u64 SEQUENCE, read-only
 * 0x04 u32 VERSION, read-only      0x28 u64 SEED
 * 0x08 u32 CONTROL                 0x30 u32 RING_HEAD, read-only
 * 0x0c u32 STATUS, read-only       0x34 u32 RING_TAIL, the doorbell
 * 0x10 u32 INTERRUPT_STATUS, w1c   0x38 u64 MEMORY_BYTES, read-only
 * 0x14 u32 INTERRUPT_MASK
 * 0x18 u32 RATE, records a second
 * ```
 * Registers are accessed whole: 4 or 8 bytes at their own offset. In a stopped state a write is
 * stored and takes effect when the device runs again.
 *
 * @module
 */

import type { DeviceRegions } from '../../device/driver.ts'
import type { DeviceContext } from '../../driver/index.ts'
import { VfioError } from '../../errors.ts'
import type { BulkClock } from './bulk-clock.ts'
import type { BulkSchema } from './bulk-state.ts'
import { RING_BYTES, RING_ENTRIES } from './descriptor-ring.ts'

/** Offsets of the registers in region 0. */
export const BulkRegister = {
  ID: 0x00,
  VERSION: 0x04,
  CONTROL: 0x08,
  STATUS: 0x0c,
  INTERRUPT_STATUS: 0x10,
  INTERRUPT_MASK: 0x14,
  RATE: 0x18,
  SEQUENCE: 0x20,
  SEED: 0x28,
  RING_HEAD: 0x30,
  RING_TAIL: 0x34,
  MEMORY_BYTES: 0x38,
} as const

/** "BULK" */
export const BULK_ID = 0x4b4c_5542
/** STATUS: the device works. */
export const STATUS_STARTED = 1
/** Bits that CONTROL, INTERRUPT_STATUS and INTERRUPT_MASK have. */
const CONTROL_BITS = 3

interface Register {
  readonly bytes: 4 | 8
  readonly read: () => bigint
  readonly write?: (value: bigint) => void
}

/** Register access to an open bulk device. */
export function bulkRegions(context: DeviceContext<BulkSchema, 'local'>, clock: BulkClock): DeviceRegions {
  const registers = registerMap(context, clock)
  const find = (action: string, offset: number, byteLength: number): Register => {
    const register = registers.get(offset)
    if (register?.bytes === byteLength) return register
    throw outside(action, 0, offset, byteLength)
  }
  return {
    read(index, offset, dst) {
      if (index === 1) dst.set(ringBytes(context, 'read', offset, dst.length))
      else if (index === 0) {
        const { bytes, read } = find('read', offset, dst.length)
        const view = new DataView(dst.buffer, dst.byteOffset, bytes)
        if (bytes === 8) view.setBigUint64(0, read(), true)
        else view.setUint32(0, Number(read()), true)
      } else throw outside('read', index, offset, dst.length)
    },
    write(index, offset, src) {
      if (index === 1) ringBytes(context, 'write', offset, src.length).set(src)
      else if (index === 0) {
        const { bytes, write } = find('write', offset, src.length)
        const view = new DataView(src.buffer, src.byteOffset, bytes)
        // A write to a read-only register is ignored, as hardware does.
        write?.(bytes === 8 ? view.getBigUint64(0, true) : BigInt(view.getUint32(0, true)))
      } else throw outside('write', index, offset, src.length)
    },
  }
}

function word(read: () => number, write?: (value: number) => void): Register {
  return {
    bytes: 4,
    read: () => BigInt(read()),
    ...(write === undefined ? {} : { write: (value: bigint) => write(Number(value)) }),
  }
}

function registerMap(context: DeviceContext<BulkSchema, 'local'>, clock: BulkClock): Map<number, Register> {
  const { state, memory } = context
  return new Map<number, Register>([
    [BulkRegister.ID, word(() => BULK_ID)],
    [BulkRegister.VERSION, word(() => 1)],
    [
      BulkRegister.CONTROL,
      word(
        () => state.control,
        (value) => {
          state.control = value & CONTROL_BITS
          clock.kick()
        },
      ),
    ],
    [BulkRegister.STATUS, word(() => (clock.started ? STATUS_STARTED : 0))],
    [
      BulkRegister.INTERRUPT_STATUS,
      word(
        () => state.interruptStatus,
        (value) => {
          state.interruptStatus &= ~value
        },
      ),
    ],
    [
      BulkRegister.INTERRUPT_MASK,
      word(
        () => state.interruptMask,
        (value) => {
          state.interruptMask = value & CONTROL_BITS
          clock.updateInterrupt()
        },
      ),
    ],
    [
      BulkRegister.RATE,
      word(
        () => state.rate,
        (value) => {
          state.rate = value
          clock.kick()
        },
      ),
    ],
    [BulkRegister.SEQUENCE, { bytes: 8, read: () => state.sequence }],
    [
      BulkRegister.SEED,
      {
        bytes: 8,
        read: () => state.seed,
        write: (value) => {
          state.seed = value
        },
      },
    ],
    [BulkRegister.RING_HEAD, word(() => state.ringHead)],
    [
      BulkRegister.RING_TAIL,
      word(
        () => state.ringTail,
        (value) => {
          state.ringTail = value % RING_ENTRIES
          clock.kick()
        },
      ),
    ],
    [BulkRegister.MEMORY_BYTES, { bytes: 8, read: () => BigInt(memory.local.byteLength) }],
  ])
}

function ringBytes(
  { state }: DeviceContext<BulkSchema, 'local'>,
  action: string,
  offset: number,
  byteLength: number,
): Uint8Array {
  if (Number.isInteger(offset) && offset >= 0 && offset + byteLength <= RING_BYTES)
    return state.ring.subarray(offset, offset + byteLength)
  throw outside(action, 1, offset, byteLength)
}

function outside(action: string, index: number, offset: number, byteLength: number): VfioError {
  return new VfioError(
    'EINVAL',
    `Cannot ${action} region ${index}: ${byteLength} bytes at 0x${offset.toString(16)} are no register, use its offset and size`,
  )
}
