/**
 * One case of the conformance suite, and what its body is given to work with.
 *
 * @module
 */

import type { Driver } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioDevice } from '../device/vfio-device.ts'
import { VfioError } from '../errors.ts'
import type { Awaitable } from '../errors.ts'
import type { MigrationSession } from '../session/migration-session.ts'
import type { DeviceState } from '../uapi/state.ts'
import { Mismatch } from './expectation.ts'
import { FaultyDevice } from './faulty-device.ts'
import type { Faults } from './faulty-device.ts'
import { type ConformanceNeed, missingNeeds } from './needs.ts'
import { readStream, writeInPieces } from './session-bytes.ts'

/** One rule of the protocol, tried on a device of its own. */
export interface ConformanceCase {
  /** A sentence, unique in the suite. */
  readonly name: string
  /** What the protocol demands, in words. */
  readonly rule: string
  /** See `missingNeeds`. */
  readonly needs: readonly ConformanceNeed[]
  /**
   * Rejects with an Error that says the rule, what was done, what was expected and what came back.
   * Does nothing when the device lacks what the case needs.
   */
  run(): Promise<void>
}

/** Facts about the device that the suite cannot find out for itself. */
export interface ConformanceOptions {
  /** Makes the driver behind `create`'s device; without it, the failure cases keep the need 'driver'. */
  driver?: () => Awaitable<Driver>
  /**
   * A register byte that stores what is written to it and is part of the stream. Without it byte 0
   * of region 0 is accessed, and nothing is expected of its value.
   */
  scratch?: { index: number; offset: number }
  /** The device shows 0 instead of ENOMSG at the temporary end of PRE_COPY, as some Linux drivers do. */
  rawPrecopyEnd?: boolean
  /** How long a stopped device is watched, in milliseconds; default 20. */
  watchMs?: number
}

/** What a case's body works with. Devices it opens are closed when it is done. */
export interface Bench {
  readonly options: ConformanceOptions
  /** A new device from the author's `create`. */
  readonly open: () => Promise<MigrationDevice>
  /** A new device around the author's driver, with faults that the body sets. */
  readonly openFaulty: (faults?: Faults) => Promise<{ device: VfioDevice; faulty: FaultyDevice }>
  /** A whole stream of a new device in STOP_COPY. */
  readonly donorStream: () => Promise<Uint8Array>
  /** Walks to `state`; in RESUMING, a whole stream has then been written. */
  readonly reach: (device: MigrationDevice, state: DeviceState) => Promise<MigrationSession | undefined>
}

/** A case before it is tied to a device. */
export interface CaseBody {
  readonly name: string
  readonly rule: string
  readonly needs?: readonly ConformanceNeed[]
  readonly body: (bench: Bench) => Promise<void>
}

/** Ties a case to the devices of `create`. */
export function bindCase(
  { name, rule, needs = [], body }: CaseBody,
  create: () => Awaitable<MigrationDevice>,
  options: ConformanceOptions,
): ConformanceCase {
  const unmet = options.driver === undefined ? needs : needs.filter((need) => need !== 'driver')
  const run = async (): Promise<void> => {
    const devices: MigrationDevice[] = []
    try {
      if (unmet.length > 0) {
        const device = await create()
        devices.push(device)
        if ((await missingNeeds({ needs: unmet }, device)).length > 0) return
        await devices.pop()?.close()
      }
      await body(createBench(devices, create, options))
    } catch (error) {
      const found = error instanceof Mismatch ? error.message : `unexpected ${describeError(error)}`
      throw new Error(`${name}: ${found}. Rule: ${rule}`, { cause: error })
    } finally {
      // A case may have closed its device, and a broken one may refuse; neither is this case's rule.
      await Promise.allSettled(devices.map((device) => device.close()))
    }
  }
  return { name, rule, needs: unmet, run }
}

/** An error in one line: its errno where it has one. */
export function describeError(error: unknown): string {
  if (VfioError.is(error)) return `${error.code} (${error.message})`
  return String(error)
}

function createBench(
  devices: MigrationDevice[],
  create: () => Awaitable<MigrationDevice>,
  options: ConformanceOptions,
): Bench {
  const open = async (): Promise<MigrationDevice> => {
    const device = await create()
    devices.push(device)
    return device
  }
  const donorStream = async (): Promise<Uint8Array> => {
    const donor = await open()
    const stream = await readStream(donor)
    // At once, since the author may have few devices.
    await Promise.allSettled([donor.close()])
    devices.splice(devices.indexOf(donor), 1)
    return stream
  }
  return {
    options,
    open,
    donorStream,
    openFaulty: async (faults) => {
      if (options.driver === undefined) throw new Mismatch('this case needs `options.driver`')
      const faulty = new FaultyDevice(await options.driver(), faults)
      const device = await VfioDevice.open(faulty)
      devices.push(device)
      return { device, faulty }
    },
    reach: async (device, state) => {
      const session = await device.setState(state)
      if (session?.direction === 'resume') await writeInPieces(session, await donorStream())
      return session
    },
  }
}
