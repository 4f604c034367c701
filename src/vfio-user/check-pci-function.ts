/**
 * Checks of what a device says of itself as a PCI function.
 *
 * @module
 */

import type { PciBar, PciFunction } from '../device/pci-function.ts'
import { VfioError } from '../errors.ts'

const BARS = 6
/** 32-bit BARs have a sign bit less, 64-bit ones what a number holds exactly. */
const MOST_BYTES = { 32: 2 ** 31, 64: 2 ** 52 } as const

/** @throws {@link VfioError} EINVAL: says which value does not fit */
export function checkPciFunction(pci: PciFunction): void {
  const { vendor, device, subsystemVendor = vendor, subsystemDevice = device } = pci
  checkNumber('vendor', vendor, 0xfffe)
  checkNumber('device', device, 0xffff)
  checkNumber('subsystemVendor', subsystemVendor, 0xffff)
  checkNumber('subsystemDevice', subsystemDevice, 0xffff)
  checkNumber('classCode', pci.classCode, 0xff_ffff)
  checkNumber('revision', pci.revision, 0xff)
  const { intx, msi, msix } = pci.interrupts
  checkNumber('interrupts.intx', intx, 1)
  checkNumber('interrupts.msi', msi, 32)
  checkNumber('interrupts.msix', msix, 2048)
  if (msi > 0 && !isPowerOfTwo(msi)) throw refusal(`interrupts.msi is ${msi}`, 'use a power of two')
  const taken = new Set<number>()
  for (const bar of pci.bars) {
    checkBar(bar)
    for (const index of bar.bits === 64 ? [bar.index, bar.index + 1] : [bar.index]) {
      if (taken.has(index)) throw refusal(`BAR ${index} is there twice`, 'use each once')
      taken.add(index)
    }
  }
  if (msix > 0 && taken.size === BARS) throw refusal('all BARs are taken', 'leave one to the MSI-X table')
}

function checkBar({ index, kind, byteLength, bits = 32, prefetchable = false }: PciBar): void {
  if (bits !== 32 && bits !== 64) throw refusal(`BAR ${index} has ${String(bits)} bits`, 'use 32 or 64')
  checkNumber('the index of a BAR', index, bits === 64 ? BARS - 2 : BARS - 1)
  const isIo = kind === 'io'
  if (isIo && (bits === 64 || prefetchable))
    throw refusal(`BAR ${index} of I/O ports is 64-bit or prefetchable`, 'leave that to memory')
  const least = isIo ? 4 : 16
  const most = MOST_BYTES[bits]
  if (!isPowerOfTwo(byteLength) || byteLength < least || byteLength > most)
    throw refusal(`BAR ${index} has ${byteLength} bytes`, `use a power of two of ${least} to ${most}`)
}

function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(Math.log2(value)) && 2 ** Math.log2(value) === value
}

function checkNumber(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return
  throw refusal(`${name} is ${value}`, `use a whole number of 0 to ${most}`)
}

function refusal(reason: string, remedy: string): VfioError {
  return new VfioError('EINVAL', `Cannot present a PCI function: ${reason}, ${remedy}`)
}
