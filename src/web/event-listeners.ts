/**
 * Listeners that are taken away together.
 *
 * @module
 */

/** What an event of a channel tells; everything in it comes from the other side. */
export interface ChannelEvent {
  readonly type: string
  readonly data?: unknown
  readonly code?: unknown
}

/** The part of an EventTarget that channels need; those of Node have it, too. */
export interface ChannelTarget {
  addEventListener(type: string, listener: (event: ChannelEvent) => void): void
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
