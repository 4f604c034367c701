/**
 * Everything that the commands of one client work with.
 *
 * @module
 */

import type { DeviceRegions } from '../device/driver.ts'
import type { PciFunction } from '../device/pci-function.ts'
import type { ClientMemory } from './client-memory.ts'
import type { ConfigSpace } from './config-space.ts'
import type { FdPassing } from './fd-passing.ts'
import type { Interrupts } from './interrupts.ts'
import type { ChooseMemoryAccess, MemoryAccess } from './memory-access.ts'
import type { ServerQuirks } from './quirks.ts'
import type { ServeEvent } from './serve-report.ts'
import type { ServedMigration } from './served-migration.ts'
import type { VersionMessage } from './version.ts'

/** What a server is set to, with its defaults. */
export interface ServerSettings {
  readonly maxDataBytes: number
  readonly maxMessageFds: number
  readonly memoryAccess: MemoryAccess | ChooseMemoryAccess
  readonly resetKeepsState: boolean
  readonly keepState: boolean
  readonly dmaReadBytes: number
  readonly dmaTimeoutMs: number
  readonly readyTimeoutMs: number
  readonly quirks: ServerQuirks
}

/** One client and the device it uses. */
export interface ServedClient {
  readonly settings: ServerSettings
  readonly pci: PciFunction
  readonly config: ConfigSpace
  readonly regions: DeviceRegions | undefined
  readonly migration: ServedMigration
  readonly memory: ClientMemory
  readonly interrupts: Interrupts
  readonly fds: FdPassing | undefined
  /** Aborted when the connection is over: whoever waits for the device stops. */
  readonly gone: AbortSignal
  /** What the client said first. */
  version: VersionMessage | undefined
  tell(event: ServeEvent): void
}
