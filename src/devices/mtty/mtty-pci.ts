/**
 * mtty as a PCI function: the card that Linux's sample driver shows, one I/O BAR a port and INTx.
 *
 * @module
 */

import type { PciFunction, PciHost } from '../../device/pci-function.ts'

/** PCI identity of an mtty; each port is an I/O BAR of `barBytes`. */
export const MTTY_PCI = {
  vendor: 0x4348,
  device: 0x3253,
  classCode: 0x070002,
  revision: 0x10,
  configBytes: 255,
  barBytes: 8,
} as const

/** What the function needs of the device. */
export interface MttyPciOptions {
  readonly ports: number
  readonly intxAsserted: () => boolean
  readonly connect: (host: PciHost) => () => void
}

/** The function of one card. */
export function mttyPci({ ports, intxAsserted, connect }: MttyPciOptions): PciFunction {
  const { vendor, device, classCode, revision, barBytes } = MTTY_PCI
  return {
    vendor,
    device,
    classCode,
    revision,
    bars: Array.from({ length: ports }, (_, index) => ({ index, kind: 'io', byteLength: barBytes })),
    interrupts: { intx: 1, msi: 0, msix: 0 },
    get intxAsserted() {
      return intxAsserted()
    },
    connect,
  }
}
