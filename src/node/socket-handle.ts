/**
 * What Node's sockets can do and do not offer. Where a runtime has it differently, nothing happens.
 *
 * @module
 */

import { type OnReadOpts, Socket } from 'node:net'

const HANDLE = '_handle'

interface Inner {
  [HANDLE]?: { reset?: unknown; useUserBuffer?(place: Uint8Array): void } | null
  resetAndClosing?: boolean
}

/** Whether {@link receiveInto} works. */
export function canReceiveInto(accepted: Socket): boolean {
  return typeof (accepted as Inner)[HANDLE]?.useUserBuffer === 'function'
}

/**
 * A socket with `onread`, which the sockets of a server cannot have: a new one that takes over the handle of an
 * accepted one, which must not have begun to read.
 */
export function receiveInto(accepted: Socket, onread: OnReadOpts): Socket {
  const inner = accepted as Inner
  const handle = inner[HANDLE]
  inner[HANDLE] = null
  const options = { handle, allowHalfOpen: true, onread }
  const socket = new Socket(options)
  // Now an empty shell: this only takes it off the server's list.
  accepted.destroy()
  return socket
}

/** The next read of a socket with `onread`, which is paused, lands in `place` instead of where it was to land. */
export function switchPlace(socket: Socket, place: Uint8Array): void {
  ;(socket as Inner)[HANDLE]?.useUserBuffer?.(place)
}

/**
 * Makes the end of a TCP socket a reset, so that the peer does not take it for the end of the stream. Node's
 * `resetAndDestroy` waits for the write under way and sends the end first.
 */
export function resetOnClose(socket: Socket): void {
  const inner = socket as Inner
  if (typeof inner[HANDLE]?.reset === 'function' && !socket.connecting) inner.resetAndClosing = true
}
