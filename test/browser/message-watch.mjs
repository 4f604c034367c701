/**
 * What this page, worker or process sends in messages of bytes: how much, how much of it the channel held at most, and
 * one bit of it turned where a test asks for that.
 */

const sent = { bytes: 0, peakBufferedBytes: 0 }
/** The message in which that many bytes have been sent is damaged. */
let damageAt = Number.POSITIVE_INFINITY

for (const [name, method] of [
  ['RTCDataChannel', 'send'],
  ['WebSocket', 'send'],
  ['MessagePort', 'postMessage'],
  ['BroadcastChannel', 'postMessage'],
]) {
  const { prototype } = globalThis[name] ?? {}
  if (prototype === undefined) continue
  const send = prototype[method]
  prototype[method] = function (message, ...rest) {
    note(bytesOf(message))
    send.call(this, message, ...rest)
    sent.peakBufferedBytes = Math.max(sent.peakBufferedBytes, this.bufferedAmount ?? 0)
  }
}

/** Since the last call of `watchAnew`. */
export function watched() {
  return { ...sent }
}

export function watchAnew(damageFrom = Number.POSITIVE_INFINITY) {
  Object.assign(sent, { bytes: 0, peakBufferedBytes: 0 })
  damageAt = damageFrom
}

/** Text is control, and of no size to speak of. */
function bytesOf(message) {
  const content = message?.bytes ?? message
  if (content instanceof ArrayBuffer) return new Uint8Array(content)
  return content instanceof Uint8Array ? content : undefined
}

function note(bytes) {
  if (bytes === undefined) return
  sent.bytes += bytes.length
  if (sent.bytes < damageAt) return
  damageAt = Number.POSITIVE_INFINITY
  bytes[bytes.length >> 1] ^= 4
}
