/**
 * Guest memory as one more device of a migration: the states, the session's rules and the lock are those of
 * any {@link VfioDevice}; only reading and writing may wait for the memory.
 *
 * @module
 */

import type { DeviceIdentity, DmaRange, Driver } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioDevice } from '../device/vfio-device.ts'
import { VfioError } from '../errors.ts'
import type { DataSession } from '../session/data-session.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { PrecopyInfo } from '../session/session-end.ts'
import { POLLERR, POLLHUP, POLLIN, POLLNVAL } from '../uapi/poll.ts'
import type { DeviceState } from '../uapi/state.ts'
import type { GuestMemoryLoad } from './guest-memory-load.ts'
import { GuestMemorySave } from './guest-memory-save.ts'

/** A driver of guest memory: it tells the end of the session that is open. */
export interface GuestMemoryDriver extends Driver {
  readonly sessionEnd: GuestMemorySave | GuestMemoryLoad | undefined
}

/** The device of one driver; opened by its first call. */
export class GuestMemoryDevice implements MigrationDevice {
  readonly identity: DeviceIdentity
  readonly #driver: GuestMemoryDriver
  #opened: Promise<VfioDevice> | undefined

  constructor(driver: GuestMemoryDriver) {
    this.identity = driver.identity
    this.#driver = driver
  }

  async migrationFlags(): Promise<number> {
    return (await this.#device).migrationFlags()
  }

  async state(): Promise<DeviceState> {
    return (await this.#device).state()
  }

  async setState(
    target: DeviceState,
    options: { signal?: AbortSignal } = {},
  ): Promise<MigrationSession | undefined> {
    const session = await (await this.#device).setState(target, options)
    const end = this.#driver.sessionEnd
    return session === undefined || end === undefined ? undefined : new GuestMemorySession(session, end)
  }

  async stopCopyLength(): Promise<number> {
    const end = this.#driver.sessionEnd
    if (end instanceof GuestMemorySave) await end.refresh()
    return (await this.#device).stopCopyLength()
  }

  async enablePrecopyInfoV2(): Promise<void> {
    await (await this.#device).enablePrecopyInfoV2()
  }

  /** The memory itself writes nothing. @throws {@link VfioError} ENOTTY */
  async dmaLoggingStart(options: { pageSize: number; ranges: readonly DmaRange[] }): Promise<number> {
    return (await this.#device).dmaLoggingStart(options)
  }

  async dmaLoggingReport(
    range: { iova: bigint; length: bigint; pageSize: number },
    bitmap: Uint8Array,
  ): Promise<void> {
    await (await this.#device).dmaLoggingReport(range, bitmap)
  }

  async dmaLoggingStop(): Promise<void> {
    await (await this.#device).dmaLoggingStop()
  }

  async reset(): Promise<void> {
    await (await this.#device).reset()
  }

  async close(): Promise<void> {
    await (await this.#device).close()
  }

  get #device(): Promise<VfioDevice> {
    return (this.#opened ??= VfioDevice.open(this.#driver))
  }
}

/** A session whose bytes may have to be waited for. */
class GuestMemorySession implements MigrationSession {
  readonly direction: 'save' | 'resume'
  readonly #session: DataSession
  readonly #end: GuestMemorySave | GuestMemoryLoad

  constructor(session: DataSession, end: GuestMemorySave | GuestMemoryLoad) {
    this.direction = session.direction
    this.#session = session
    this.#end = end
  }

  get ended(): AbortSignal {
    return this.#session.ended
  }

  async read(dst: Uint8Array): Promise<number> {
    for (;;) {
      try {
        return this.#session.read(dst)
      } catch (error) {
        if (!VfioError.is(error, 'EAGAIN') || !(this.#end instanceof GuestMemorySave)) throw error
        await this.#end.prepare()
      }
    }
  }

  async write(src: Uint8Array): Promise<number> {
    if (this.#end instanceof GuestMemorySave || src.length === 0) return this.#session.write(src)
    for (let at = 0; at < src.length;) {
      at += this.#session.write(src.subarray(at, at + this.#end.room))
      await this.#end.apply()
    }
    return src.length
  }

  poll(): number {
    return this.#session.poll()
  }

  async ready(events: number, options: { signal?: AbortSignal } = {}): Promise<number> {
    const isSaving = this.#end instanceof GuestMemorySave && (events & POLLIN) !== 0
    const unwatch = isSaving ? this.#end.watch() : undefined
    try {
      return await this.#session.ready(events, options)
    } finally {
      unwatch?.()
    }
  }

  async precopyInfo(): Promise<PrecopyInfo> {
    const isLive = (this.#session.poll() & (POLLERR | POLLHUP | POLLNVAL)) === 0
    if (isLive && this.#end instanceof GuestMemorySave) await this.#end.refresh()
    return this.#session.precopyInfo()
  }

  /** @throws {@link VfioError} EOPNOTSUPP: memory has bytes only when they were waited for, use `read` */
  lease(): never {
    throw noViews('lease', 'read')
  }

  release(): never {
    throw noViews('release', 'read')
  }

  /** @throws {@link VfioError} EOPNOTSUPP: use `write` */
  window(): never {
    throw noViews('window', 'write')
  }

  commit(): never {
    throw noViews('commit', 'write')
  }

  close(): void {
    this.#session.close()
  }
}

function noViews(syscall: string, remedy: string): VfioError {
  return new VfioError('EOPNOTSUPP', `Cannot ${syscall}: guest memory has no views, use ${remedy}`, {
    syscall,
  })
}
