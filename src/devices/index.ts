/**
 * `stopcopy/devices`: device models that ship with stopcopy.
 *
 * @module
 */

export type { DmaMemory, PciBar, PciBarFile, PciFunction, PciHost } from '../device/pci-function.ts'
export { type BulkDriver, type BulkMemory, type BulkOptions, createBulk } from './bulk/bulk.ts'
export type { BulkPattern, BulkPlacement, BulkWorkload } from './bulk/pattern.ts'
export { BULK_PCI } from './bulk/bulk-pci.ts'
export { BULK_ID, BulkRegister } from './bulk/bulk-registers.ts'
export { DescriptorOp, DescriptorStatus, type HostMemory } from './bulk/descriptor-ring.ts'
export type { BulkP2pCounts, BulkP2pEvent } from './bulk/peer-dma.ts'
export { type BulkLink, linkBulkPeers } from './bulk/peer-link.ts'
export {
  type BulkExpectation,
  type BulkVerdict,
  type ReadableMemory,
  verifyBulkWorkload,
} from './bulk/verify-workload.ts'
export { createMtty, type Mtty, type MttyOptions } from './mtty/mtty.ts'
export { MTTY_PCI } from './mtty/mtty-pci.ts'
