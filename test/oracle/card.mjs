/**
 * The migration protocol over a target of `targets.mjs`: the bytes of each ioctl, written by hand, so that
 * stopcopy's own encoders are not what both sides are asked with.
 *
 * @module
 */

export const State = {
  ERROR: 0,
  STOP: 1,
  RUNNING: 2,
  STOP_COPY: 3,
  RESUMING: 4,
  RUNNING_P2P: 5,
  PRE_COPY: 6,
  PRE_COPY_P2P: 7,
}
export const STATE_NAMES = Object.keys(State)

export const Request = { RESET: 0x3b6f, FEATURE: 0x3b75, PRECOPY_INFO: 0x3b79 }
export const Feature = { MIGRATION: 1, STATE: 2, LOG_START: 6, LOG_STOP: 7, LOG_REPORT: 8, DATA_SIZE: 9 }
export const Operation = { GET: 0x10000, SET: 0x20000, PROBE: 0x40000 }

/** What a poisoned field holds before a call, so that "untouched" can be seen. */
const POISON = 0x5a5a5a5a

/** Bytes of a feature call: argsz, flags, then `payload`. */
export function featureBytes(flags, payload, argsz = 8 + payload.length) {
  const bytes = new Uint8Array(8 + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, argsz, true)
  view.setUint32(4, flags, true)
  bytes.set(payload, 8)
  return bytes
}

/** u32 numbers as bytes; a bigint is a u64. */
export function words(...numbers) {
  return new Uint8Array(
    Buffer.concat(
      numbers.map((number) => {
        const bytes = Buffer.alloc(typeof number === 'bigint' ? 8 : 4)
        if (typeof number === 'bigint') bytes.writeBigUInt64LE(BigInt.asUintN(64, number))
        else bytes.writeUInt32LE(number >>> 0)
        return bytes
      }),
    ),
  )
}

/** One device under test. */
export class Card {
  constructor(target, ports) {
    this.target = target
    this.ports = ports
  }

  /** @returns {Promise<number>} the result of VFIO_DEVICE_RESET */
  async reset() {
    return (await this.target.ioctl('device', Request.RESET, new Uint8Array(0))).result
  }

  /** Asks for a state: the result, and the number of the data fd, or -1. */
  async set(state) {
    const message = featureBytes(Feature.STATE | Operation.SET, words(state, POISON))
    const { result, bytes } = await this.target.ioctl('device', Request.FEATURE, message)
    return { result, fd: new DataView(bytes.buffer, bytes.byteOffset).getInt32(12, true) }
  }

  /** Goes to a state that must be reachable, and gives its data fd. */
  async enter(state) {
    const { result, fd } = await this.set(state)
    if (result !== 0) throw new Error(`Cannot enter ${STATE_NAMES[state]}: ${result}`)
    return fd
  }

  /** The state's name. */
  async state() {
    const message = featureBytes(Feature.STATE | Operation.GET, words(POISON, POISON))
    const { result, bytes } = await this.target.ioctl('device', Request.FEATURE, message)
    if (result !== 0) return `GET ${result}`
    return STATE_NAMES[new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true)]
  }

  /** Reads in pieces of `piece` bytes until a read gives none: the bytes, and what the last read gave. */
  async readAll(fd, piece) {
    const parts = []
    for (;;) {
      const { result, bytes } = await this.target.read(fd, piece)
      if (result <= 0) return { stream: new Uint8Array(Buffer.concat(parts)), last: result }
      parts.push(bytes.slice())
    }
  }

  /** Writes in pieces of `piece` bytes: the result of each. With `stop`, not past the first failure. */
  async writeAll(fd, stream, piece, { stop = true } = {}) {
    const results = []
    for (let at = 0; at < stream.length; at += piece) {
      const { result } = await this.target.write(fd, stream.subarray(at, at + piece))
      results.push(result)
      if (stop && result < 0) break
    }
    return results
  }

  /** A register, or a negative errno. */
  async register(port, register) {
    const { result, bytes } = await this.target.peek(port, register)
    return result === 1 ? bytes[0] : result
  }

  async poke(port, register, value) {
    return (await this.target.poke(port, register, value)).result
  }

  /**
   * Puts both UARTs back to their power-on content, as far as a user can: mtty keeps its content over reset and
   * close, so a test that wants a known start has to load it.
   */
  async load(stream, piece = stream.length) {
    await this.reset()
    const fd = await this.enter(State.RESUMING)
    await this.writeAll(fd, stream, piece)
    await this.enter(State.STOP)
    await this.target.close(fd)
    await this.enter(State.RUNNING)
  }

  /** The whole stream by STOP_COPY; the device is stopped afterwards. */
  async save(piece = 4096) {
    const fd = await this.enter(State.STOP_COPY)
    const { stream } = await this.readAll(fd, Math.min(piece, 2048))
    await this.enter(State.STOP)
    await this.target.close(fd)
    return stream
  }
}
