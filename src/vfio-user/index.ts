/**
 * `stopcopy/vfio-user`: devices served to other programs, and devices of other programs, over a byte duplex.
 *
 * @module
 */

export { VfioUserClient } from './client.ts'
export type { VfioUserClientOptions } from './client-options.ts'
export { VfioUserCommand } from './command.ts'
export type { IrqSetup, RemoteRegion } from './device-calls.ts'
export type { DmaMemory, PciBar, PciBarFile, PciFunction, PciHost } from '../device/pci-function.ts'
export type { DmaMapping, DmaUnmapping } from './dma-mappings.ts'
export type { FdDuplex, FdFiles, FdPassing, MapAccess, MappedMemory } from './fd-passing.ts'
export type { VfioUserServerInfo } from './greeting.ts'
export type { RegionMmapArea } from './region-capabilities.ts'
export { RemoteSession } from './remote-session.ts'
export type { DeviceInfo, IrqInfo, RegionInfo } from './structs.ts'
export { type ServerQuirks, SERVER_QUIRKS } from './quirks.ts'
export type { ChooseMemoryAccess, MemoryAccess, OfferedMemory } from './memory-access.ts'
export { serveVfioUser, type ServeOptions } from './serve.ts'
export type { ServeEvent, ServeReport } from './serve-report.ts'
export type { Capabilities, VersionMessage } from './version.ts'
export {
  type ServerFacts,
  type WireBenchOptions,
  type WireCase,
  WireConformance,
  type WireFinding,
  type WireNeed,
  type WireRule,
  type WireSafety,
} from './wire-cases/index.ts'
