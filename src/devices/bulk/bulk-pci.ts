/**
 * bulk as a PCI function: an endpoint of PCI Express with three BARs and two interrupts.
 *
 * @module
 */

import type { PciBar, PciFunction, PciHost } from '../../device/pci-function.ts'

/**
 * PCI identity of bulk. The PCI-SIG has given vendor 0x1234 to nobody, and emulated devices have it by custom
 * (QEMU's standard VGA is 1234:1111, its teaching device edu 1234:11e8); b01c is the nearest to "bulk" that
 * nothing known has. Class: a system peripheral of no named kind.
 */
export const BULK_PCI = { vendor: 0x1234, device: 0xb01c, classCode: 0x08_8000 } as const

/** Bytes of BAR 0 and BAR 1, and the least of BAR 2: a page, so that they can be mapped. */
export const BAR_BYTES = 4096

/** MSI and MSI-X vectors: one for each bit of INTERRUPT_STATUS. */
export const VECTORS = 2

/** Bytes of BAR 2 over so much memory. */
export function memoryBarBytes(memoryBytes: number): number {
  return Math.max(BAR_BYTES, 2 ** Math.ceil(Math.log2(memoryBytes)))
}

function bulkBars(memoryBytes: number): PciBar[] {
  return [
    { index: 0, kind: 'memory', byteLength: BAR_BYTES },
    { index: 1, kind: 'memory', byteLength: BAR_BYTES },
    { index: 2, kind: 'memory', byteLength: memoryBarBytes(memoryBytes), bits: 64, prefetchable: true },
  ]
}

/** What the function needs of the device. */
export interface BulkPciOptions {
  readonly memoryBytes: number
  readonly revision: number
  readonly intxAsserted: () => boolean
  readonly connect: (host: PciHost) => () => void
}

/** The function of one device. */
export function bulkPci({ memoryBytes, revision, intxAsserted, connect }: BulkPciOptions): PciFunction {
  return {
    ...BULK_PCI,
    revision,
    bars: bulkBars(memoryBytes),
    interrupts: { intx: 1, msi: VECTORS, msix: VECTORS },
    express: true,
    get intxAsserted() {
      return intxAsserted()
    },
    connect,
  }
}
