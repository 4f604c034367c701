/**
 * What a client can be told.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import type { DmaMemory } from '../device/pci-function.ts'

/** Options of `VfioUserClient.connect`. */
export interface VfioUserClientOptions {
  /**
   * Who the device is, or parts of it. Default: what a server of this package says; else `pci-VVVV:DDDD` of its ids
   * with its own stream, and its ids and the sizes of its regions as the configuration that both ends must share.
   */
  readonly identity?: Partial<DeviceIdentity> | undefined
  /** Most bytes of data of one message, advertised to the server, which holds it in both directions. Default: 1 MiB. */
  readonly maxDataBytes?: number | undefined
  /** Bytes of one MIG_DATA_READ. Default: as negotiated, at most 1 MiB. */
  readonly readBytes?: number | undefined
  /** Most bytes of one MIG_DATA_WRITE. Default: as negotiated to a server of this package, else at most 32 KiB. */
  readonly writeBytes?: number | undefined
  /** Most MIG_DATA_READs or MIG_DATA_WRITEs under way. Default: 4. */
  readonly outstanding?: number | undefined
  /** How long a command may take, milliseconds; entering a state is one. Default: 10,000. */
  readonly requestTimeoutMs?: number | undefined
  /** Memory that the server's device reaches by message; without, such messages are answered ENODEV. */
  readonly dma?: DmaMemory | undefined
  /** The server does not die of DMA logging commands. Default: known of servers of this package only. */
  readonly dmaLogging?: boolean | undefined
  /** Cancels connecting. */
  readonly signal?: AbortSignal | undefined
}
