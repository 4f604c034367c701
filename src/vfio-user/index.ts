/**
 * vfio-user: devices served to other programs, and devices of other programs, over a byte duplex.
 *
 * @module
 */

export { VfioUserCommand } from './command.ts'
export type { FdDuplex, FdPassing, MappedMemory } from './fd-passing.ts'
