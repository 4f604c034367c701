/**
 * A driver whose arcs are seen: how long each took, and when its device stops and starts.
 *
 * @module
 */

import {
  type Awaitable,
  type DeviceIdentity,
  type DeviceRegions,
  DeviceState,
  type DirtyLogOps,
  type Driver,
  type SessionEnd,
} from 'stopcopy'

/** Who watches. */
export interface ArcWatcher {
  arc(from: DeviceState, to: DeviceState, ms: number): void
  /** It works no more: nothing changes from here on. */
  stopped(): void
  /** It is loaded, and will work next. */
  starting(): void
  /** It works, from power-on content. */
  reset(): void
}

const WORKING: readonly DeviceState[] = [
  DeviceState.RUNNING,
  DeviceState.RUNNING_P2P,
  DeviceState.PRE_COPY,
  DeviceState.PRE_COPY_P2P,
]

/** The same driver, watched. */
export class TracedDriver implements Driver {
  readonly flags: number
  readonly identity: DeviceIdentity
  readonly regions: DeviceRegions | undefined
  readonly dirtyLog: DirtyLogOps | undefined
  readonly throttle?: (percent: number) => Awaitable<void>
  readonly standIn?: () => Awaitable<Driver | undefined>
  readonly #driver: Driver
  readonly #watcher: ArcWatcher

  constructor(driver: Driver, watcher: ArcWatcher) {
    this.flags = driver.flags
    this.identity = driver.identity
    this.regions = driver.regions
    this.dirtyLog = driver.dirtyLog
    // Absent where the driver has none, which is ENOTTY.
    if (driver.throttle !== undefined) this.throttle = (percent) => driver.throttle?.(percent)
    if (driver.standIn !== undefined) this.standIn = () => driver.standIn?.()
    this.#driver = driver
    this.#watcher = watcher
  }

  open(): Awaitable<void> {
    return this.#driver.open?.()
  }

  close(): Awaitable<void> {
    return this.#driver.close?.()
  }

  async transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Promise<void | SessionEnd> {
    const works = WORKING.includes(from)
    if (!works && WORKING.includes(to)) this.#watcher.starting()
    const beganMs = performance.now()
    const end = await this.#driver.transition(from, to, options)
    const ms = performance.now() - beganMs
    if (works && !WORKING.includes(to)) this.#watcher.stopped()
    this.#watcher.arc(from, to, ms)
    return end
  }

  stopCopyLength(): Awaitable<number> {
    return this.#driver.stopCopyLength()
  }

  async reset(): Promise<void> {
    await this.#driver.reset()
    this.#watcher.reset()
  }
}
