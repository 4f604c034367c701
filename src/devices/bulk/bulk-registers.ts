/**
 * The regions of bulk, one behind each BAR: the register block (0), the descriptor ring (1), local memory (2).
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
 *
 * 0x40 u32 PATTERN                 0x54 u32 BURST_PHASE, us, read-only
 * 0x44 u32 HOT_FRACTION, 1/65536   0x58 u32 RESERVED_PAGES
 * 0x48 u32 HOT_SHARE, 1/65536      0x5c u32 P2P_RATE, records a second
 * 0x4c u32 BURST, ms               0x60 u64 P2P_SEQUENCE, read-only
 * 0x50 u32 BURST_PERIOD, ms
 * ```
 * A value out of a register's bounds is dropped. Any bytes of a region can be accessed; a write to part of a register changes that part. In a stopped
 * state a write is stored and takes effect when the device runs again. What a BAR has behind its registers, the
 * ring or the memory reads zero and drops writes.
 *
 * @module
 */

import type { DeviceRegions } from '../../device/driver.ts'
import type { DeviceContext } from '../../driver/index.ts'
import { VfioError } from '../../errors.ts'
import { BAR_BYTES, memoryBarBytes } from './bulk-pci.ts'
import type { BulkClock } from './bulk-clock.ts'
import { BULK_LIMITS, type BulkSchema, BULK_VERSION } from './bulk-state.ts'
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
  PATTERN: 0x40,
  HOT_FRACTION: 0x44,
  HOT_SHARE: 0x48,
  BURST: 0x4c,
  BURST_PERIOD: 0x50,
  BURST_PHASE: 0x54,
  RESERVED_PAGES: 0x58,
  P2P_RATE: 0x5c,
  P2P_SEQUENCE: 0x60,
} as const

/** "BULK" */
export const BULK_ID = 0x4b4c_5542
/** STATUS: the device works. */
export const STATUS_STARTED = 1
/** Bits that CONTROL, INTERRUPT_STATUS and INTERRUPT_MASK have. */
const CONTROL_BITS = 3

/** Bytes of the block. */
const BLOCK_BYTES = 128

interface Register {
  readonly bytes: 4 | 8
  /** Ones that are written clear bits. */
  readonly clears?: boolean
  readonly read: () => bigint
  readonly write?: (value: bigint) => void
}

/** Registers that only set how the device works. */
type Setting =
  'rate' | 'pattern' | 'hotFraction' | 'hotShare' | 'burstMs' | 'burstPeriodMs' | 'reservedPages' | 'p2pRate'

/** Register access to an open bulk device. */
export function bulkRegions(context: DeviceContext<BulkSchema, 'local'>, clock: BulkClock): DeviceRegions {
  const registers = registerMap(context, clock)
  const { local } = context.memory
  const barBytes = [BAR_BYTES, BAR_BYTES, memoryBarBytes(local.byteLength)]
  const check = (action: string, index: number, offset: number, byteLength: number): void => {
    const end = barBytes[index] ?? -1
    if (Number.isInteger(offset) && offset >= 0 && offset + byteLength <= end) return
    throw outside(action, index, offset, byteLength)
  }
  return {
    read(index, offset, dst) {
      check('read', index, offset, dst.length)
      dst.fill(0)
      if (index === 2) local.read(...inside(local.byteLength, offset, dst))
      else {
        const bytes = index === 1 ? context.state.ring : registerBlock(registers)
        const [at, part] = inside(bytes.length, offset, dst)
        part.set(bytes.subarray(at, at + part.length))
      }
    },
    write(index, offset, src) {
      check('write', index, offset, src.length)
      if (index === 2) local.write(...inside(local.byteLength, offset, src))
      else if (index === 1) {
        const [at, part] = inside(RING_BYTES, offset, src)
        context.state.ring.set(part, at)
      } else {
        for (const [at, register] of registers) {
          if (at + register.bytes <= offset || at >= offset + src.length) continue
          // What is written to a read-only register is dropped, as hardware does.
          register.write?.(mergedValue(register, at, offset, src))
        }
      }
    },
  }
}

/** The part of an access that lies in the first `byteLength` bytes of a BAR. */
function inside(byteLength: number, offset: number, bytes: Uint8Array): [number, Uint8Array] {
  const at = Math.min(offset, byteLength)
  return [at, bytes.subarray(0, byteLength - at)]
}

/** The bytes of region 0 as they read now. */
function registerBlock(registers: Map<number, Register>): Uint8Array {
  const block = new DataView(new ArrayBuffer(BLOCK_BYTES))
  for (const [at, register] of registers) {
    if (register.bytes === 8) block.setBigUint64(at, register.read(), true)
    else block.setUint32(at, Number(register.read()), true)
  }
  return new Uint8Array(block.buffer)
}

/** A register's value with the written bytes laid over it; over zero for write-one-to-clear. */
function mergedValue(register: Register, at: number, offset: number, src: Uint8Array): bigint {
  let value = register.clears === true ? 0n : register.read()
  for (let i = 0; i < register.bytes; i++) {
    const byte = src[at + i - offset]
    if (at + i < offset || byte === undefined) continue
    const shift = BigInt(i * 8)
    value = (value & ~(0xffn << shift)) | (BigInt(byte) << shift)
  }
  return value
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
  const setting = (name: Setting, limits = { min: 0, max: 0xffff_ffff }): Register =>
    word(
      () => state[name],
      (value) => {
        if (value >= limits.min && value <= limits.max) state[name] = value
        clock.kick()
      },
    )
  return new Map<number, Register>([
    [BulkRegister.ID, word(() => BULK_ID)],
    [BulkRegister.VERSION, word(() => BULK_VERSION)],
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
      {
        ...word(
          () => state.interruptStatus,
          (value) => {
            state.interruptStatus &= ~value
          },
        ),
        clears: true,
      },
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
    [BulkRegister.RATE, setting('rate')],
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
    [BulkRegister.PATTERN, setting('pattern', BULK_LIMITS.pattern)],
    [BulkRegister.HOT_FRACTION, setting('hotFraction', BULK_LIMITS.hotFraction)],
    [BulkRegister.HOT_SHARE, setting('hotShare', BULK_LIMITS.hotShare)],
    [BulkRegister.BURST, setting('burstMs', BULK_LIMITS.burstMs)],
    [BulkRegister.BURST_PERIOD, setting('burstPeriodMs', BULK_LIMITS.burstPeriodMs)],
    [BulkRegister.BURST_PHASE, word(() => state.burstPhase)],
    [BulkRegister.RESERVED_PAGES, setting('reservedPages')],
    [BulkRegister.P2P_RATE, setting('p2pRate')],
    [BulkRegister.P2P_SEQUENCE, { bytes: 8, read: () => state.p2pSequence }],
  ])
}

function outside(action: string, index: number, offset: number, byteLength: number): VfioError {
  return new VfioError(
    'EINVAL',
    `Cannot ${action} region ${index}: ${byteLength} bytes at 0x${offset.toString(16)} lie outside it, use region 0 to 2 and stay inside`,
  )
}
