/**
 * Watches the devices of both sides of a migration, at every instant, and checks who runs.
 *
 * A side **runs** when a device of it that holds the migrated state is in RUNNING, RUNNING_P2P, PRE_COPY or
 * PRE_COPY_P2P, or on an arc from or to one of them. A device of the source holds it from the start; one of
 * the destination since it left RESUMING for STOP, which is when its driver took the state over. A reset
 * brings power-on content: the device holds nothing from its begin on, and its RUNNING is nobody's. A
 * destination's RUNNING before RESUMING is the same.
 *
 * @module
 */

import type { DeviceIdentity, DeviceRegions, DirtyLogOps, Driver } from '../../src/device/driver.ts'
import { type Awaitable, VfioError } from '../../src/errors.ts'
import type { SessionEnd } from '../../src/session/session-end.ts'
import { DeviceState, deviceStateName } from '../../src/uapi/state.ts'

export type Side = 'source' | 'destination'

const RUNS: readonly DeviceState[] = [
  DeviceState.RUNNING,
  DeviceState.RUNNING_P2P,
  DeviceState.PRE_COPY,
  DeviceState.PRE_COPY_P2P,
]

const STARTS_P2P: readonly DeviceState[] = [DeviceState.RUNNING, DeviceState.PRE_COPY]
const STOPPED: readonly DeviceState[] = [DeviceState.STOP, DeviceState.STOP_COPY, DeviceState.RESUMING]

/** All devices of one migration. */
export class DeviceRecorder {
  /** What happened, in order. */
  readonly log: string[] = []
  /** Broken rules; must stay empty. */
  readonly violations: string[] = []
  /** The destination may start: the source wrote the first byte of COMMIT, or a verdict was given. */
  mayStart = false
  /** Whether rules are checked; what a test does by itself afterwards is none of them. */
  isChecking = true
  readonly #devices: RecordedDriver[] = []

  /** The driver, watched. */
  wrap(side: Side, driver: Driver): RecordedDriver {
    const index = this.#devices.filter((device) => device.side === side).length
    const recorded = new RecordedDriver(driver, side, index, this)
    this.#devices.push(recorded)
    return recorded
  }

  of(side: Side): readonly RecordedDriver[] {
    return this.#devices.filter((device) => device.side === side)
  }

  /** Something else that happened. */
  note(text: string): void {
    this.log.push(text)
  }

  violation(text: string): void {
    this.violations.push(`${text}\n  ${this.log.slice(-20).join('\n  ')}`)
  }

  /** After every step of a device. */
  check(): void {
    if (!this.isChecking) return
    const running = (['source', 'destination'] as const).filter((side) =>
      this.of(side).some((device) => device.runs),
    )
    if (running.length === 2) this.violation('both sides run')
    for (const side of ['source', 'destination'] as const) this.#checkPeers(this.of(side))
  }

  /**
   * Devices of one side could reach each other: none may start P2P DMA while another is stopped. One in ERROR
   * is out of reach of any rule.
   */
  #checkPeers(devices: readonly RecordedDriver[]): void {
    const starting = devices.find((device) => device.holds && device.isIn(STARTS_P2P))
    const stopped = devices.find((device) => device.isIn(STOPPED))
    if (starting !== undefined && stopped !== undefined)
      this.violation(`${starting.name} may start P2P while ${stopped.name} is stopped`)
  }
}

/** A driver that tells the recorder of every arc, before and after. */
export class RecordedDriver implements Driver {
  readonly side: Side
  /** Such as 'source[0]'. */
  readonly name: string
  readonly throttle?: (percent: number) => Awaitable<void>
  /** Where the driver is, and where it is going to. */
  state: DeviceState = DeviceState.RUNNING
  target: DeviceState | undefined
  /** Whether it holds the migrated state. */
  holds: boolean
  /** Whether it was ever moved. */
  moved = false
  lastThrottle = 0
  readonly #driver: Driver
  readonly #recorder: DeviceRecorder

  constructor(driver: Driver, side: Side, index: number, recorder: DeviceRecorder) {
    this.#driver = driver
    this.side = side
    this.holds = side === 'source'
    this.name = `${side}[${index}]`
    this.#recorder = recorder
    if (driver.throttle !== undefined)
      this.throttle = (percent) => {
        this.lastThrottle = percent
        return driver.throttle?.(percent)
      }
  }

  get runs(): boolean {
    return this.holds && this.isIn(RUNS)
  }

  /** Whether it is in one of the states, or on its way there. */
  isIn(states: readonly DeviceState[]): boolean {
    return states.includes(this.state) || (this.target !== undefined && states.includes(this.target))
  }

  get flags(): number {
    return this.#driver.flags
  }

  get identity(): DeviceIdentity {
    return this.#driver.identity
  }

  get profile(): 'strict' | 'exact' {
    return this.#driver.profile ?? 'strict'
  }

  get dirtyLog(): DirtyLogOps | undefined {
    return this.#driver.dirtyLog
  }

  get regions(): DeviceRegions | undefined {
    return this.#driver.regions
  }

  open(): Awaitable<void> {
    return this.#driver.open?.()
  }

  close(): Awaitable<void> {
    return this.#driver.close?.()
  }

  stopCopyLength(): Awaitable<number> {
    return this.#driver.stopCopyLength()
  }

  async transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Promise<void | SessionEnd> {
    this.moved = true
    const arc = `${deviceStateName(from)}->${deviceStateName(to)}`
    this.#note(arc)
    if (this.side === 'destination' && RUNS.includes(to) && this.holds && !this.#recorder.mayStart)
      this.#recorder.violation(`${this.name} starts without COMMIT`)
    this.target = to
    this.#recorder.check()
    try {
      const end = await this.#driver.transition(from, to, options)
      this.state = to
      if (this.side === 'destination' && from === DeviceState.RESUMING) this.holds = true
      this.#note(`${arc} done`)
      return end
    } catch (error) {
      if (VfioError.is(error) && error.state === DeviceState.ERROR) this.state = DeviceState.ERROR
      this.#note(`${arc} failed: ${String(error)}`)
      throw error
    } finally {
      this.target = undefined
      this.#recorder.check()
    }
  }

  async reset(): Promise<void> {
    this.#note('reset')
    this.holds = false
    try {
      await this.#driver.reset()
      this.state = DeviceState.RUNNING
    } catch (error) {
      this.state = DeviceState.ERROR
      this.#note('reset failed')
      throw error
    }
  }

  #note(text: string): void {
    this.#recorder.note(`${this.name} ${text}`)
  }
}
