/**
 * What a device module exports: a device of somebody's own for the `stopcopy` command, as in
 * `stopcopy receive ./my-device.mjs --listen unix:/tmp/here`.
 *
 * @module
 */

import type { Awaitable } from '../errors.ts'
import type { ConfigurationValue, Driver } from './driver.ts'
import type { PciFunction } from './pci-function.ts'

/** The device that a stream or a source holds; what the device here must be like. Untrusted, but for its size. */
export interface DeviceOffer {
  /** Its type; absent where none is offered, as for `stopcopy send`: the module makes the device that it likes. */
  readonly type?: string
  /** Version of its state, 1 and up; absent as `type`. */
  readonly version?: number
  /** Names and values in which both must agree; empty where none are told. */
  readonly configuration: Readonly<Record<string, ConfigurationValue>>
}

/** What there may be to a device beside its driver. */
export interface DeviceExtras {
  /** For people; default: the type of the driver. */
  readonly name?: string
  /** As a PCI bus sees it: `stopcopy serve` needs it. */
  readonly pci?: PciFunction
  /** Where the device is, in a few words such as `tick 1234`. Asked after it moved and before it is closed. */
  describe?(): string
  /** Gives back what the module made; called once, after the driver was closed or could not be opened. */
  destroy?(): Awaitable<void>
}

/** What a device module makes: a driver, or an object with one; the extras are looked for on either. */
export type MadeDevice = DeviceExtras & (Driver | { readonly driver: Driver })

/**
 * The default export of a device module, or its export `createDevice`. A throw refuses the offer, and its message
 * is told to both ends.
 *
 * @example
 * ```ts
 * import { type DeviceOffer, defineDevice, u32 } from 'stopcopy'
 * export default function createDevice({ type = 'counter' }: DeviceOffer) {
 *   if (type !== 'counter') throw new Error(`there is no ${type} here, send a counter`)
 *   return defineDevice({ type, version: 1, state: { ticks: u32() } })
 * }
 * ```
 */
export type CreateDevice = (offer: DeviceOffer) => Awaitable<MadeDevice>
