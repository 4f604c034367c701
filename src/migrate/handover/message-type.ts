/**
 * What a frame of a migration link is; 0 is never valid. Who sends which and when stands in `../README.md`.
 *
 * @module
 */

/** Types of frames. */
export const MessageType = {
  /** source: identities, negotiation; the first frame of a migration */
  HELLO: 1,
  /** destination: all devices are in RESUMING, data may come */
  WELCOME: 2,
  /** destination: no, and why; nothing was changed */
  REFUSED: 3,
  /** source: this connection carries data of a migration, too */
  ATTACH: 4,
  /** source: a piece of a device's stream */
  DATA: 5,
  /** source: the initial bytes of a stream end at this position */
  INITIAL_SENT: 6,
  /** destination: they have been loaded, the switchover acknowledgement */
  INITIAL_LOADED: 7,
  /** source: totals and digests of all streams */
  END: 8,
  /** destination: loaded and verified, all devices in STOP */
  READY: 9,
  /** source: the devices are yours */
  COMMIT: 10,
  /** destination: they run */
  RUNNING: 11,
  /** destination: it failed, no device has left STOP, all are reset */
  FAILED: 12,
  /** destination: thrown away, all devices are reset */
  DISCARDED: 13,
  /** destination: no such migration here; decides nothing */
  UNKNOWN: 14,
  /** source: it keeps the devices */
  CANCEL: 15,
  /** source: are you there */
  PING: 16,
  /** destination: yes */
  PONG: 17,
} as const

/** One of {@link MessageType}. */
export type MessageType = (typeof MessageType)[keyof typeof MessageType]

/** Answers to COMMIT. */
export const DECISIONS: readonly MessageType[] = [
  MessageType.RUNNING,
  MessageType.FAILED,
  MessageType.DISCARDED,
  MessageType.UNKNOWN,
]

/** The name of a type, such as 'COMMIT'. */
export function messageName(type: number): string {
  return Object.entries(MessageType).find(([, value]) => value === type)?.[0] ?? `type ${type}`
}

/** Whether a number is a type that this release knows. */
export function isMessageType(type: number): type is MessageType {
  return Object.values(MessageType).includes(type as MessageType)
}
