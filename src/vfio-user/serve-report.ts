/**
 * What a server tells while it serves a client, and at its end.
 *
 * @module
 */

import type { VfioError } from '../errors.ts'
import type { DeviceState } from '../uapi/state.ts'
import type { VersionMessage } from './version.ts'

/** Something that happened. */
export type ServeEvent =
  /** The client said who it is. */
  | { readonly kind: 'version'; readonly version: VersionMessage }
  /** A command was answered; `error` when it was refused. */
  | { readonly kind: 'command'; readonly command: string; readonly error?: VfioError | undefined }
  /** Something that the client wants and this connection cannot give. */
  | { readonly kind: 'unavailable'; readonly what: string; readonly reason: string }

/** How serving a client went. */
export interface ServeReport {
  /** What the client said first; undefined when it was refused or never spoke. */
  readonly client: VersionMessage | undefined
  /** Commands that were answered, refusals included. */
  readonly commands: number
  /** Refusals among them. */
  readonly refused: number
  /**
   * 'left': the client closed the connection between two messages. 'lost': the connection broke. 'refused': the
   * client broke the protocol and was cut off. 'stopped': the signal.
   */
  readonly ended: 'left' | 'lost' | 'refused' | 'stopped'
  /** Why; undefined when it left. */
  readonly reason: VfioError | undefined
  /** The state in which the device was left; undefined when it could not be reset. */
  readonly state: DeviceState | undefined
}
