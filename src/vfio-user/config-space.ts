/**
 * PCI configuration space of a function: identity, command register and BAR sizing.
 *
 * @module
 */

import type { PciFunction } from '../device/pci-function.ts'
import { VfioError } from '../errors.ts'

/** Bytes as a bus reads and writes them. */
export interface ConfigSpace {
  /** 256 or 4096. */
  readonly byteLength: number
  read(offset: number, dst: Uint8Array): void
  write(offset: number, src: Uint8Array): void
  /** Whether the function may reach memory. */
  readonly busMaster: boolean
  /** As at power-on. */
  reset(): void
}

const BYTES = 256
const COMMAND = 4
const BUS_MASTER = 4

/** Configuration space of `pci`, at power-on. */
export function createConfigSpace(pci: PciFunction): ConfigSpace {
  const bytes = new Uint8Array(BYTES)
  const writable = new Uint8Array(BYTES)
  const view = new DataView(bytes.buffer)
  const mask = new DataView(writable.buffer)
  const reset = (): void => {
    bytes.fill(0)
    view.setUint16(0, pci.vendor, true)
    view.setUint16(2, pci.device, true)
    view.setUint32(8, pci.classCode * 256 + pci.revision, true)
    view.setUint16(0x2c, pci.subsystemVendor ?? pci.vendor, true)
    view.setUint16(0x2e, pci.subsystemDevice ?? pci.device, true)
    bytes[0x3d] = pci.interrupts.intx
    for (const bar of pci.bars) bytes[0x10 + bar.index * 4] = bar.kind === 'io' ? 1 : bar.bits === 64 ? 4 : 0
  }
  mask.setUint16(COMMAND, 0x0407, true)
  for (const { index, byteLength } of pci.bars) mask.setUint32(0x10 + index * 4, -byteLength >>> 0, true)
  reset()
  const check = (offset: number, byteLength: number): void => {
    if (offset >= 0 && offset + byteLength <= BYTES) return
    throw new VfioError('EINVAL', `Cannot access configuration space: ${byteLength} bytes at ${offset}`)
  }
  return {
    byteLength: BYTES,
    read(offset, dst) {
      check(offset, dst.length)
      dst.set(bytes.subarray(offset, offset + dst.length))
    },
    write(offset, src) {
      check(offset, src.length)
      for (const [at, value] of src.entries()) {
        const may = writable[offset + at]!
        bytes[offset + at] = (bytes[offset + at]! & ~may) | (value & may)
      }
    },
    get busMaster() {
      return (bytes[COMMAND]! & BUS_MASTER) !== 0
    },
    reset,
  }
}
