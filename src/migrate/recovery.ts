/**
 * What happens to a device when a save or a restore fails (facts C.1 steps 11 to 13): it goes to the state
 * the caller names, else it is reset, and the first error is the one reported.
 *
 * After a failed SET nothing but `state()` is believed.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { Errno, type ErrnoName, VfioError } from '../errors.ts'
import { canceled } from '../transport/index.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'

/** Where a recovery left a device. */
export interface Recovery {
  /** 'back': in the state asked for. 'lost': not even a reset helped. */
  readonly how: 'back' | 'reset' | 'lost'
  /** As the device itself says; undefined when it no longer answers. */
  readonly state: DeviceState | undefined
  /** Why the reset failed. */
  readonly cause?: unknown
}

/**
 * Brings a device out of a failed migration; never rejects.
 *
 * @param target - the state to go to, or undefined for a reset: the protocol has no other way to abandon
 * RESUMING, so a device found there is reset too
 */
export async function recover(device: MigrationDevice, target: DeviceState | undefined): Promise<Recovery> {
  let state = await stateOf(device)
  if (target !== undefined && state !== DeviceState.RESUMING) {
    if (state !== target) {
      await device.setState(target).catch(() => {})
      state = await stateOf(device)
    }
    if (state === target) return { how: 'back', state }
  }
  try {
    await device.reset()
  } catch (cause) {
    return { how: 'lost', state: await stateOf(device), cause }
  }
  state = await stateOf(device)
  return { how: state === DeviceState.RUNNING ? 'reset' : 'lost', state }
}

/** The first error, saying also what became of the device: in words, and in its `state`. */
export function withRecovery(first: VfioError, recovery: Recovery): VfioError {
  const name = recovery.state === undefined ? 'an unknown state' : deviceStateName(recovery.state)
  const why = recovery.cause instanceof Error ? ` (${recovery.cause.message})` : ''
  const outcome = {
    back: `the device is in ${name}`,
    reset: `the device was reset and is in ${name}`,
    lost: `the reset failed too${why}: the device is lost in ${name}, close it`,
  }[recovery.how]
  return placed(first, `${first.message}; ${outcome}`, recovery.state)
}

/** Any error as a VfioError: a foreign errno name is kept, everything else is EIO. */
export function asFailure(error: unknown, action: string, signal?: AbortSignal): VfioError {
  if (signal?.aborted === true && (error === signal.reason || VfioError.is(error, 'EINTR'))) {
    return canceled(action, signal)
  }
  if (VfioError.is(error)) return error
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown }
  const name: ErrnoName = typeof code === 'string' && Object.hasOwn(Errno, code) ? (code as ErrnoName) : 'EIO'
  const reason = typeof message === 'string' ? message : String(error)
  return new VfioError(name, `Cannot ${action}: ${reason}, see the cause`, { cause: error })
}

async function stateOf(device: MigrationDevice): Promise<DeviceState | undefined> {
  try {
    return await device.state()
  } catch {
    return undefined
  }
}

function placed(error: VfioError, message: string, state: number | undefined): VfioError {
  const { code, errno, syscall, section, offset } = error
  return new VfioError(code, message, {
    errno,
    // A cancellation keeps its reason; of any other the original stays reachable, with its stack.
    cause: code === 'ECANCELED' ? error.cause : error,
    ...(syscall === undefined ? {} : { syscall }),
    ...(state === undefined ? {} : { state }),
    ...(section === undefined ? {} : { section }),
    ...(offset === undefined ? {} : { offset }),
  })
}
