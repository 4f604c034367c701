/**
 * Listeners that are taken away together.
 *
 * @module
 */

/** What an event of a channel tells; everything in it comes from the other side. */
export interface ChannelEvent {
  /** What happened: 'message', 'close', ... */
  readonly type: string
  /** Of a message. */
  readonly data?: unknown
  /** Of a close: why. */
  readonly code?: unknown
  /** Of an error, where it says more. */
  readonly error?: unknown
}

/** The part of an EventTarget that channels need; those of Node have it, too. */
export interface ChannelTarget {
  /** As of an EventTarget. */
  addEventListener(type: string, listener: (event: ChannelEvent) => void): void
  /** As of an EventTarget. */
  removeEventListener(type: string, listener: (event: ChannelEvent) => void): void
}

/** Adds `listeners`, by event. @returns what takes them away */
export function listenTo(
  target: ChannelTarget,
  listeners: Readonly<Record<string, (event: ChannelEvent) => void>>,
): () => void {
  const entries = Object.entries(listeners)
  for (const [type, listener] of entries) target.addEventListener(type, listener)
  return () => {
    for (const [type, listener] of entries) target.removeEventListener(type, listener)
  }
}
