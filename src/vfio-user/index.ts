/**
 * vfio-user: devices served to other programs, and devices of other programs, over a byte duplex.
 *
 * @module
 */

export { VfioUserCommand } from './command.ts'
export type { FdDuplex, FdPassing, MappedMemory } from './fd-passing.ts'
export { type ServerQuirks, SERVER_QUIRKS } from './quirks.ts'
export { serveVfioUser, type ServeOptions } from './serve.ts'
export type { ServeEvent, ServeReport } from './serve-report.ts'
export type { Capabilities, VersionMessage } from './version.ts'
