/**
 * A data fd of the guest's kernel as a stopcopy `MigrationSession`.
 *
 * The sample driver ends PRE_COPY with a read of 0. `read` shows it; a lease, which stopcopy's transports use,
 * turns it into ENOMSG, as stopcopy does for its own drivers.
 *
 * @module
 */
import { VfioError } from 'stopcopy'
import { Request, words } from './card.mjs'
import { checked } from './errno.mjs'

/** Bytes the agent can carry in one call. */
const MOST = 1024

const POLL_FAILED = 0x38

function busy(action, reason) {
  return new VfioError('EBUSY', `Cannot ${action}: ${reason}`)
}

export class KernelSession {
  #card
  #fd
  #isPrecopy
  #isClosed = false
  #leases = []
  #window
  #ending = new AbortController()

  /** @param {() => boolean} isPrecopy whether the device is in a PRE_COPY state */
  constructor(card, fd, direction, isPrecopy) {
    this.#card = card
    this.#fd = fd
    this.#isPrecopy = isPrecopy
    this.direction = direction
  }

  get ended() {
    return this.#ending.signal
  }

  /** The device left the states of this session. */
  end() {
    this.#ending.abort(
      new VfioError('ENODEV', 'Cannot go on: the device ended the session, open another one'),
    )
  }

  async read(dst) {
    if (this.#leases.length > 0) throw busy('read', 'a lease is out, release it first')
    return this.#fill(dst)
  }

  async #fill(dst) {
    const { result, bytes } = await this.#card.read(this.#fd, Math.min(dst.length, MOST))
    checked(result, 'read')
    dst.set(bytes)
    return bytes.length
  }

  async write(src) {
    if (this.#window) throw busy('write', 'a window is out, commit it first')
    return this.#send(src)
  }

  async #send(src) {
    for (let at = 0; at < src.length || at === 0; at += MOST) {
      const { result } = await this.#card.write(this.#fd, src.subarray(at, at + MOST))
      checked(result, 'write')
    }
    return src.length
  }

  async poll() {
    const { result } = await this.#card.poll(this.#fd, this.direction === 'save' ? 0x41 : 0x104)
    return checked(result, 'poll')
  }

  /** The sample driver's fds are always ready. */
  async ready(events) {
    return (await this.poll()) & (events | POLL_FAILED)
  }

  async precopyInfo() {
    const { result, bytes } = await this.#card.ioctl(this.#fd, Request.PRECOPY_INFO, words(24, 0, 0n, 0n))
    checked(result, 'ioctl')
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const [initialBytes, dirtyBytes] = [8, 16].map((at) => Number(view.getBigUint64(at, true)))
    return { initialBytes, dirtyBytes, reinit: (view.getUint32(4, true) & 1) !== 0 }
  }

  async lease(maxBytes) {
    const bytes = new Uint8Array(Math.min(maxBytes, MOST))
    const length = await this.#fill(bytes)
    if (length === 0 && this.#isPrecopy()) {
      throw new VfioError('ENOMSG', 'Cannot read: there is nothing now, wait for STOP_COPY')
    }
    if (length > 0) this.#leases.push(bytes)
    return bytes.subarray(0, length)
  }

  release() {
    if (this.#leases.shift() === undefined) {
      throw new VfioError('EINVAL', 'Cannot release: no lease is out, take one first')
    }
  }

  window(maxBytes) {
    if (this.#window) throw busy('open a window', 'one is out, commit it first')
    this.#window = new Uint8Array(Math.min(maxBytes, MOST))
    return this.#window
  }

  async commit(byteLength) {
    const window = this.#window
    this.#window = undefined
    if (byteLength > 0) await this.#send(window.subarray(0, byteLength))
  }

  async close() {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#card.close(this.#fd)
  }
}
