/**
 * vfio-user: devices served to other programs, and devices of other programs, over a byte duplex.
 *
 * @module
 */

export { VfioUserCommand } from './command.ts'
export type { FdDuplex, FdFiles, FdPassing, MapAccess, MappedMemory } from './fd-passing.ts'
