/**
 * A copy of the stream that a device sends, to be looked at afterwards; while the device works, it is read in
 * slices that do not hold it up.
 *
 * @module
 */

import {
  DeviceState,
  inspect,
  type MigrationDevice,
  type MigrationSession,
  type StreamReport,
} from 'stopcopy'
import type { Breather } from './breather.ts'

/** Longer streams are not kept. */
const KEPT_BYTES = 64 * 1024 * 1024

const LIVE: readonly DeviceState[] = [DeviceState.PRE_COPY, DeviceState.PRE_COPY_P2P]

/** Keeps what is read from a device's saving sessions. */
export class StreamRecorder {
  /** The device, to be used instead. */
  readonly device: MigrationDevice
  #chunks: Uint8Array<ArrayBuffer>[] = []
  #byteLength = 0
  readonly #breather: Breather
  #works = true

  constructor(device: MigrationDevice, breather: Breather) {
    this.#breather = breather
    this.device = replaced(device, {
      setState: async (...args: Parameters<MigrationDevice['setState']>) => {
        const session = await device.setState(...args)
        this.#works = LIVE.includes(args[0])
        return session?.direction === 'save' ? this.#recorded(session) : session
      },
    })
  }

  /** What the stream held; undefined when it was too long. @throws as `inspect` */
  async report(): Promise<StreamReport | undefined> {
    const chunks = this.#chunks
    this.#chunks = []
    if (this.#byteLength > KEPT_BYTES || this.#byteLength === 0) return undefined
    return inspect(new Blob(chunks).stream())
  }

  #recorded(session: MigrationSession): MigrationSession {
    return replaced(session, {
      lease: async (maxBytes: number) => {
        if (this.#works && this.#breather.isDue) await this.#breather.breathe()
        const bytes = await session.lease(maxBytes)
        this.#byteLength += bytes.length
        if (this.#byteLength <= KEPT_BYTES) this.#chunks.push(bytes.slice())
        else this.#chunks.length = 0
        return bytes
      },
    })
  }
}

/** The same object, but for some methods. Private fields need the object itself as `this`. */
function replaced<T extends object>(target: T, methods: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in methods) return methods[name as keyof T]
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
