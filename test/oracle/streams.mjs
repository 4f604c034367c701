/**
 * Streams of an mtty to start from, made from the published layout and not by stopcopy.
 *
 * @module
 */
import { words } from './card.mjs'

export const HEADER_BYTES = 24
export const PORT_BYTES = 36

/** Where the fields of a port record lie in it. */
export const PORT_FIELDS = {
  fifo: 8,
  head: 24,
  tail: 25,
  count: 26,
  dlab: 27,
  overrun: 28,
  divisor: 30,
  fcr: 32,
  maxFifoSize: 33,
  triggerLevel: 34,
}

/** The header of a card with `ports` ports. */
function header(ports) {
  return words(0x7e9d09898c3e2c4en, 1, 0, ports, 0)
}

/** A card at power-on. */
export function freshStream(ports) {
  const stream = new Uint8Array(HEADER_BYTES + ports * PORT_BYTES)
  stream.set(header(ports))
  for (let port = 0; port < ports; port++) {
    stream[HEADER_BYTES + port * PORT_BYTES + PORT_FIELDS.maxFifoSize] = 16
  }
  return stream
}

/** `stream` with some bytes replaced: offset to value. */
export function patched(stream, changes) {
  const copy = stream.slice()
  for (const [at, value] of Object.entries(changes)) copy[Number(at)] = value
  return copy
}

/** A card with two ports whose scratch registers and first ring hold something. */
export function heldStream() {
  const [first, second] = [HEADER_BYTES, HEADER_BYTES + PORT_BYTES]
  return patched(freshStream(2), {
    [first + 7]: 0xa5,
    [first + PORT_FIELDS.fifo]: 0x68,
    [first + PORT_FIELDS.fifo + 1]: 0x69,
    [first + PORT_FIELDS.head]: 2,
    [first + PORT_FIELDS.count]: 2,
    [second + 7]: 0x5a,
  })
}

/** A repeatable source of numbers below `limit` (mulberry32). */
export function numbersFrom(seed) {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}
