/**
 * Guest memory that is migrated beside devices, over DMA logging.
 *
 * @module
 */

export { type GuestMemoryDestination, guestMemoryDestination } from './guest-memory-destination.ts'
export type { GuestMemoryRange } from './guest-memory-layout.ts'
export { type GuestMemorySource, guestMemorySource } from './guest-memory-source.ts'
