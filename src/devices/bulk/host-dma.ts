/**
 * The DMA between local memory and the host: one transfer at a time, for which the host may take its time.
 *
 * Bytes go through a buffer of the transfer: what the host is given stays as it is until it has answered, and
 * what it answers too late, after a reset or a close, reaches no memory.
 *
 * @module
 */

import type { DirtyLog } from '../../device/dirty-log.ts'
import type { DmaMemory } from '../../device/pci-function.ts'
import type { DeviceMemory } from '../../driver/index.ts'
import type { Awaitable } from '../../errors.ts'
import type { HostRequest } from './descriptor-ring.ts'
import { IdleWait } from './idle-wait.ts'

/** See the module. */
export class HostDma {
  readonly #dirtyLog: DirtyLog
  readonly #wait: IdleWait = new IdleWait()
  /** Of the transfer under way. */
  #done: ((success: boolean) => void) | undefined

  /** @param dirtyLog - told of what was written to the host */
  constructor(dirtyLog: DirtyLog) {
    this.#dirtyLog = dirtyLog
  }

  /** Whether a transfer is under way. */
  get busy(): boolean {
    return this.#done !== undefined
  }

  /**
   * Starts a transfer; none may be under way.
   *
   * @param done - called when it has ended, at once when the host answers at once; not after {@link abandon}
   */
  start(request: HostRequest, local: DeviceMemory, host: DmaMemory, done: (success: boolean) => void): void {
    const { toHost, iova, offset, byteLength } = request
    const end = (success: boolean): void => {
      // Also when it failed or came too late: part of it may have been written.
      if (toHost) this.#dirtyLog.mark(iova, byteLength)
      if (this.#done !== done) return
      if (success && !toHost) {
        local.bytes.set(buffer, offset)
        local.mark(offset, byteLength)
      }
      this.#end(success)
    }
    const buffer = toHost ? local.bytes.slice(offset, offset + byteLength) : new Uint8Array(byteLength)
    this.#done = done
    let answer: Awaitable<void>
    try {
      answer = toHost ? host.write(iova, buffer) : host.read(iova, buffer)
    } catch {
      // A host that refuses the access fails this transfer, not the device.
      end(false)
      return
    }
    if (answer === undefined) end(true)
    else
      answer.then(
        () => end(true),
        () => end(false),
      )
  }

  /** Waits for the transfer under way. */
  quiesce(options: { readonly signal: AbortSignal }): Promise<void> | undefined {
    return this.busy ? this.#wait.wait(options.signal) : undefined
  }

  /** The host has gone: the transfer under way has failed. */
  fail(): void {
    if (this.busy) this.#end(false)
  }

  /** Forgets the transfer under way. */
  abandon(): void {
    this.#done = undefined
    this.#wait.idle()
  }

  #end(success: boolean): void {
    const done = this.#done
    this.#done = undefined
    done?.(success)
    this.#wait.idle()
  }
}
