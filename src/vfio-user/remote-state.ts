/**
 * The migration state of a remote device and the session that belongs to it.
 *
 * Before a SET no MIG_DATA_READ is under way and all MIG_DATA_WRITEs are answered. After a failed SET nothing but
 * a GET is believed. A reset is believed only when the GET after it says RUNNING: real servers keep their state.
 * Then a device that is known to be a source is set RUNNING; one that may hold a part of a stream, or a loaded one
 * whose source may run, never is.
 *
 * @module
 */

import { StateLock } from '../device/state-lock.ts'
import { VfioError } from '../errors.ts'
import { SessionLife } from '../session/session-life.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'
import type { DeviceCalls } from './device-calls.ts'
import type { FeatureCalls } from './feature-calls.ts'
import { ReadAhead } from './read-ahead.ts'
import { RemoteSession } from './remote-session.ts'
import type { Requests } from './requests.ts'
import { WriteBehind } from './write-behind.ts'

/** Sizes of a client's sessions. */
export interface SessionSizes {
  readonly readBytes: number
  readonly writeBytes: number
  readonly outstanding: number
}

/** Room for the leases of two writes of a transport, 1 MiB each and a little more. */
const LEASED_BYTES = 2 * (1024 * 1024 + 4096)

interface OpenSession {
  readonly life: SessionLife
  readonly side: ReadAhead | WriteBehind
}

/** Moves one remote device. */
export class RemoteState {
  readonly #requests: Requests
  readonly #features: FeatureCalls
  readonly #calls: DeviceCalls
  readonly #sizes: SessionSizes
  readonly #lock: StateLock
  #state: DeviceState
  #session: OpenSession | undefined
  /** The device ran here, and nothing was loaded into it since: it may be let run again. */
  #isSource: boolean
  #closed = false

  /** @param state - as the server says; undefined when it cannot migrate */
  constructor(
    requests: Requests,
    features: FeatureCalls,
    calls: DeviceCalls,
    sizes: SessionSizes,
    state: DeviceState | undefined,
  ) {
    this.#requests = requests
    this.#features = features
    this.#calls = calls
    this.#sizes = sizes
    this.#state = state ?? DeviceState.RUNNING
    this.#isSource = runs(this.#state)
    this.#lock = new StateLock(() => this.#reset(state !== undefined))
  }

  state(): Promise<DeviceState> {
    return this.#lock.run(async () => {
      this.#arrive(await this.#features.state())
      return this.#state
    })
  }

  setState(target: number, signal?: AbortSignal): Promise<RemoteSession | undefined> {
    return this.#lock.run(() => this.#go(target, signal))
  }

  /** Marked at once, applied when the call under way is done. */
  reset(): Promise<void> {
    return this.#lock.reset()
  }

  /** Runs with no change of state under way. */
  locked<T>(call: () => Promise<T>): Promise<T> {
    return this.#lock.run(call)
  }

  /** Ends the session; the device is closed. */
  close(): void {
    this.#closed = true
    this.#endSession('the device was closed')
    this.#session = undefined
  }

  /** The connection is gone. */
  lost(error: VfioError): void {
    if (this.#closed) return
    this.#session?.life.terminate('the connection is gone', error)
  }

  async #go(target: number, signal: AbortSignal | undefined): Promise<RemoteSession | undefined> {
    if (signal?.aborted === true)
      throw new VfioError('EINTR', `Cannot enter ${deviceStateName(target)}: aborted, read the state back`, {
        syscall: 'setState',
        state: this.#state,
        cause: signal.reason,
      })
    const from = this.#state
    const session = this.#session
    // As with a local device: a session that is read or written while it is taken apart would tear.
    const isLeft = from === DeviceState.STOP_COPY || from === DeviceState.RESUMING
    const letGo = isLeft ? session?.life.hold() : undefined
    try {
      if (session?.side instanceof ReadAhead) await session.side.drain()
      else if (session !== undefined && target !== from) await this.#finish(session.side)
      await this.#set(target)
    } finally {
      if (session?.side instanceof ReadAhead) session.side.resume()
      letGo?.()
    }
    return sessionOf(from) === sessionOf(target) ? undefined : this.#open()
  }

  /** All bytes are with the server; what went wrong with them is why RESUMING is not left. */
  async #finish(side: WriteBehind): Promise<void> {
    try {
      await side.finish()
    } catch (error) {
      throw VfioError.is(error) ? withState(error, this.#state) : error
    }
  }

  async #set(target: number): Promise<void> {
    try {
      await this.#features.setState(target)
    } catch (error) {
      if (this.#requests.failure === undefined) this.#arrive(await this.#features.state())
      throw VfioError.is(error) ? withState(error, this.#state) : error
    }
    this.#arrive(target as DeviceState)
  }

  /** The device is in `state`: what that means for the session. */
  #arrive(state: DeviceState): void {
    const left = deviceStateName(this.#state)
    this.#state = state
    if (state === DeviceState.RESUMING) this.#isSource = false
    else if (runs(state)) this.#isSource = true
    const session = this.#session
    if (session === undefined) return
    if (session.life.direction !== sessionOf(state)) {
      this.#endSession(state === DeviceState.ERROR ? 'the device failed' : `the device left ${left}`)
    } else if (state === DeviceState.STOP_COPY && session.side instanceof ReadAhead) {
      session.side.stop()
      session.life.wake()
    }
  }

  #open(): RemoteSession | undefined {
    const direction = sessionOf(this.#state)
    if (direction === undefined) return undefined
    const life = new SessionLife(direction, {
      deviceState: () => this.#state,
      isDeviceClosed: () => this.#closed,
      precopyInfoV2: () => false,
    })
    const { readBytes, writeBytes, outstanding } = this.#sizes
    const side =
      direction === 'resume'
        ? new WriteBehind(life, this.#requests, { chunkBytes: writeBytes, outstanding })
        : new ReadAhead(life, this.#requests, {
            chunkBytes: readBytes,
            outstanding,
            buffers: outstanding + Math.ceil(LEASED_BYTES / readBytes) + 2,
            stopped: this.#state === DeviceState.STOP_COPY,
          })
    life.bind(side)
    this.#session = { life, side }
    return new RemoteSession(life, side)
  }

  #endSession(reason: string): void {
    this.#session?.life.terminate(reason)
    this.#session = undefined
  }

  async #reset(canMigrate: boolean): Promise<void> {
    const session = this.#session
    const letGo = session?.life.hold()
    try {
      await (session?.side instanceof ReadAhead ? session.side.drain() : session?.side.abandon())
      const refusal = await this.#tryReset()
      if (!canMigrate) {
        if (refusal !== undefined) throw refusal
        return
      }
      this.#arrive(await this.#features.state())
      if (this.#state !== DeviceState.RUNNING) await this.#leave(refusal)
      else if (refusal !== undefined) throw refusal
      this.#endSession('the device was reset')
    } finally {
      if (session?.side instanceof ReadAhead) session.side.resume()
      letGo?.()
    }
  }

  /** Why the server refused, which in STOP and STOP_COPY many do. */
  async #tryReset(): Promise<VfioError | undefined> {
    try {
      await this.#calls.reset()
      return undefined
    } catch (error) {
      if (this.#requests.failure !== undefined || !VfioError.is(error)) throw error
      return error
    }
  }

  /** RUNNING by another way, when the reset did not lead there. */
  async #leave(refusal: VfioError | undefined): Promise<void> {
    const name = deviceStateName(this.#state)
    if (!this.#isSource || this.#state === DeviceState.ERROR) {
      const reason = `its server keeps it in ${name} with what was loaded into it`
      const failed = this.#state === DeviceState.ERROR ? 'it stays in ERROR' : reason
      const error = new VfioError(
        'EIO',
        `Cannot reset the device: ${failed}, it was given up: restart its server`,
        { syscall: 'reset', state: this.#state, cause: refusal },
      )
      this.#requests.giveUp(error)
      throw error
    }
    await this.#set(DeviceState.RUNNING)
    // Where it runs the server takes what it refused before.
    if (refusal !== undefined) await this.#calls.reset()
    this.#arrive(await this.#features.state())
    if (this.#state === DeviceState.RUNNING) return
    throw new VfioError(
      'EIO',
      `Cannot reset the device: it is in ${deviceStateName(this.#state)}, close it`,
      {
        syscall: 'reset',
        state: this.#state,
      },
    )
  }
}

/** The direction of the session that is open in a state. */
function sessionOf(state: number): 'save' | 'resume' | undefined {
  if (state === DeviceState.RESUMING) return 'resume'
  const isSaving =
    state === DeviceState.STOP_COPY || state === DeviceState.PRE_COPY || state === DeviceState.PRE_COPY_P2P
  return isSaving ? 'save' : undefined
}

function runs(state: DeviceState): boolean {
  return state === DeviceState.RUNNING || state === DeviceState.RUNNING_P2P || sessionOf(state) === 'save'
    ? state !== DeviceState.STOP_COPY
    : false
}

function withState(error: VfioError, state: DeviceState): VfioError {
  const { code, errno, message } = error
  return new VfioError(code, message, { errno, state, syscall: 'setState', cause: error })
}
