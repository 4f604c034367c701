/**
 * A card of the guest's kernel as a stopcopy `MigrationDevice`: what `save`, `restore`, `migrate` and the
 * conformance suite take. Register access and the byte ioctl are left out, since both are immediate in stopcopy
 * and a guest is not.
 *
 * @module
 */
import { VfioError } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'
import { Feature, featureBytes, Operation, Request, State, words } from './card.mjs'
import { checked } from './errno.mjs'
import { KernelSession } from './kernel-session.mjs'

const { GET, SET } = Operation
const PRECOPY = [State.PRE_COPY, State.PRE_COPY_P2P]
const SAVING = [State.STOP_COPY, ...PRECOPY]

/** Whether a session that was open in `before` is still open in `after`. */
function goesOn(before, after) {
  if (SAVING.includes(before)) return SAVING.includes(after)
  return before === State.RESUMING && after === State.RESUMING
}

export class KernelDevice {
  #card
  #state = State.RUNNING
  #session
  #last = Promise.resolve()

  constructor(card, ports) {
    this.#card = card
    this.identity = createMtty({ ports }).identity
  }

  /** A feature call on `payload`; the payload as it came back. */
  async #feature(flags, payload, { argsz, places } = {}) {
    const bytes = featureBytes(flags, payload, argsz)
    const { result, bytes: left } = await this.#card.ioctl('device', Request.FEATURE, bytes, places)
    return { result, payload: new DataView(left.buffer, left.byteOffset + 8) }
  }

  async migrationFlags() {
    const { result, payload } = await this.#feature(Feature.MIGRATION | GET, words(0n))
    checked(result, 'ioctl')
    return Number(payload.getBigUint64(0, true))
  }

  async state() {
    const { result, payload } = await this.#feature(Feature.STATE | GET, words(0, 0))
    checked(result, 'ioctl')
    return payload.getUint32(0, true)
  }

  /** The state is kept beside the kernel's to end sessions in time, so calls that move it go one by one. */
  #alone(call) {
    const done = this.#last.then(call)
    this.#last = done.catch(() => {})
    return done
  }

  async setState(target, { signal } = {}) {
    return this.#alone(async () => {
      if (signal?.aborted) throw new VfioError('EINTR', 'Cannot set the state: it was aborted, call again')
      return this.#walk(target)
    })
  }

  async #walk(target) {
    const before = this.#state
    const { result, payload } = await this.#feature(Feature.STATE | SET, words(target, 0))
    const fd = payload.getInt32(4, true)
    // A call that fails may have gone a part of the way.
    this.#state = await this.state()
    if (fd >= 0 || !goesOn(before, this.#state)) this.#endSession()
    checked(result, 'setState', { state: this.#state })
    if (fd < 0) return undefined
    const direction = target === State.RESUMING ? 'resume' : 'save'
    this.#session = new KernelSession(this.#card, fd, direction, () => PRECOPY.includes(this.#state))
    return this.#session
  }

  async stopCopyLength() {
    const { result, payload } = await this.#feature(Feature.DATA_SIZE | GET, words(0n))
    checked(result, 'ioctl')
    return Number(payload.getBigUint64(0, true))
  }

  async dmaLoggingStart({ pageSize, ranges }) {
    const list = ranges.flatMap(({ iova, length }) => [iova, length])
    const payload = words(BigInt(pageSize), ranges.length, 0, 32n, ...list)
    const { result, payload: left } = await this.#feature(Feature.LOG_START | SET, payload, {
      argsz: 32,
      places: [24],
    })
    checked(result, 'ioctl')
    return Number(left.getBigUint64(0, true))
  }

  async dmaLoggingReport({ iova, length, pageSize }, bitmap) {
    const payload = new Uint8Array([...words(iova, length, BigInt(pageSize), 40n), ...bitmap])
    const options = { argsz: 40, places: [32] }
    const { result, payload: left } = await this.#feature(Feature.LOG_REPORT | GET, payload, options)
    checked(result, 'ioctl')
    bitmap.set(new Uint8Array(left.buffer, left.byteOffset + 32, bitmap.length))
  }

  async dmaLoggingStop() {
    checked((await this.#feature(Feature.LOG_STOP | SET, new Uint8Array(0))).result, 'ioctl')
  }

  async reset() {
    await this.#alone(async () => {
      checked((await this.#card.ioctl('device', Request.RESET, new Uint8Array(0))).result, 'ioctl')
      this.#state = State.RUNNING
      this.#endSession()
    })
  }

  async close() {
    await this.#alone(async () => {
      this.#endSession()
      await this.#card.end()
    })
  }

  #endSession() {
    this.#session?.end()
    this.#session = undefined
  }
}
