/**
 * The checks of `stopcopy conformance DEVICE`: the exported suite, on devices that are created here.
 *
 * @module
 */

import type { Driver } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import { createBulk, createMtty } from '../devices/index.ts'
import { conformance, type ConformanceCase, type ConformanceNeed, missingNeeds } from '../testing/index.ts'
import { settle } from '../transport/index.ts'
import type { WireFinding } from '../vfio-user/index.ts'
import { type Check, NEEDS } from './conformance-checks.ts'
import { askDeviceModule, checkMade } from './device-module.ts'
import { BULK_DEFAULTS, type OwnSpec } from './device-spec.ts'
import { destroy } from './module-device.ts'
import { type OpenedDevice, openFresh } from './open-device.ts'

/** Devices of the suite are small, unless a size is given. */
const BULK_BYTES = 256 * 1024

/** Makes a new device for each that a check wants. */
export class DeviceChecks {
  /** A device that is created here is there again. */
  readonly wasGone: boolean = false
  readonly #spec: OwnSpec
  readonly #signal: AbortSignal
  readonly #ends: (() => Promise<void>)[] = []

  constructor(spec: OwnSpec, signal: AbortSignal) {
    this.#spec = spec.type === 'bulk' ? { size: BULK_BYTES, ...spec } : spec
    this.#signal = signal
  }

  /** What is checked. @throws {@link VfioError} when it can not be made */
  async facts(): Promise<Pick<OpenedDevice, 'name' | 'options'>> {
    const { name, options, close } = await this.#open()
    await close()
    return { name, options }
  }

  /** All checks in their order. */
  async list(): Promise<Check[]> {
    const missing = new Set<ConformanceNeed>()
    const suite = conformance(() => this.#create(), { driver: () => this.#driver() })
    const { device, close } = await this.#open()
    try {
      for (const need of new Set(suite.flatMap(({ needs }) => needs)))
        if ((await missingNeeds({ needs: [need] }, device)).length > 0) missing.add(need)
    } finally {
      await close()
    }
    return suite.map((test) => ({
      name: `suite: ${test.name}`,
      rule: test.rule,
      safety: 'changes',
      run: () => tried(test, missing),
    }))
  }

  /** Gives back what was made for drivers that devices of the suite had. */
  async close(): Promise<void> {
    for (const end of this.#ends.splice(0)) await end()
  }

  async #create(): Promise<MigrationDevice> {
    const opened = await this.#open()
    const { device } = opened
    const close = device.close.bind(device)
    // The suite knows the device alone, and what its close() fails with is a finding.
    device.close = async () => {
      const closed = close()
      device.close = () => settle(() => closed)
      const ended = opened.close()
      device.close = close
      await ended
      await closed
    }
    return device
  }

  #open(): Promise<OpenedDevice> {
    return openFresh(this.#spec, undefined, {}, this.#signal)
  }

  async #driver(): Promise<Driver> {
    const spec = this.#spec
    if (spec.type === 'mtty') return createMtty({ ports: spec.ports ?? 1 })
    if (spec.type === 'bulk')
      return createBulk({ memoryBytes: spec.size ?? BULK_BYTES, seed: spec.seed ?? BULK_DEFAULTS.seed })
    const { driver, extras } = await askDeviceModule(spec.path, { configuration: {} })
    this.#ends.push(() => destroy(spec.path, extras))
    return checkMade(spec.path, driver)
  }
}

/** Said otherwise than of a server's device. */
const LACKING: Partial<typeof NEEDS> = {
  regions: 'a device with registers',
  'checked-stream': 'a stream with checksums, such as that of defineDevice',
}

async function tried(test: ConformanceCase, lacking: ReadonlySet<ConformanceNeed>): Promise<WireFinding> {
  const missing = test.needs.filter((need) => lacking.has(need))
  if (missing.length > 0) {
    const words = missing.map((need) => LACKING[need] ?? NEEDS[need])
    return { status: 'not applicable', reason: `it needs ${words.join(' and ')}` }
  }
  try {
    await test.run()
    return { status: 'pass' }
  } catch (error) {
    return { status: 'fail', reason: error instanceof Error ? error.message : String(error) }
  }
}
