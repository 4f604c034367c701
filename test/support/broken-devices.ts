/** Deliberately broken mttys: each breaks one rule, for the conformance suite to find. @module */

import type { DeviceRegions, Driver } from '../../src/device/driver.ts'
import type { MigrationDevice } from '../../src/device/migration-device.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createMtty } from '../../src/devices/mtty/mtty.ts'
import type { MigrationSession } from '../../src/session/migration-session.ts'
import type { ResumeEnd, SaveEnd, SessionEnd } from '../../src/session/session-end.ts'
import { FaultyDevice } from '../../src/testing/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'

const { STOP, STOP_COPY, RESUMING, PRE_COPY, PRE_COPY_P2P } = DeviceState
const SCR = 7
const SCR_IN_STREAM = 24 + SCR

type Break<T> = (value: T) => T

/** An mtty whose session ends, arcs or flags are replaced. */
class BrokenDriver extends FaultyDevice {
  breakSave: Break<SaveEnd> = (end) => end
  breakResume: Break<ResumeEnd> = (end) => end
  /** Errors of RESUMING to STOP are swallowed. */
  loadsAnything = false
  length: number | undefined
  onArc: (to: DeviceState) => void = () => {}

  override async transition(
    from: DeviceState,
    to: DeviceState,
    options: { signal: AbortSignal },
  ): Promise<void | SessionEnd> {
    this.onArc(to)
    try {
      const end = await super.transition(from, to, options)
      if (end === undefined) return undefined
      return end.direction === 'save' ? this.breakSave(end) : this.breakResume(end)
    } catch (error) {
      if (this.loadsAnything && from === RESUMING) return undefined
      throw error
    }
  }

  override stopCopyLength(): number | Promise<number> {
    return this.length ?? super.stopCopyLength()
  }
}

function breakDriver(change: (driver: BrokenDriver, regions: DeviceRegions) => void): () => Driver {
  return () => {
    const mtty = createMtty()
    const driver = new BrokenDriver(mtty)
    change(driver, mtty.regions)
    return driver
  }
}

/** `value` with some members replaced; the others still work on `value` itself. */
function replace<T extends object>(value: T, members: Partial<T>): T {
  return new Proxy(value, {
    get: (target, key) => {
      if (key in members) return members[key as keyof T]
      const member = target[key as keyof T]
      return typeof member === 'function' ? (member.bind(target) as unknown) : member
    },
  })
}

function breakDevice(
  change: (device: MigrationDevice) => Partial<MigrationDevice>,
): () => Promise<MigrationDevice> {
  return async () => {
    const device: MigrationDevice = await VfioDevice.open(createMtty())
    return replace(device, change(device))
  }
}

function scratchOf(regions: DeviceRegions): number {
  const byte = new Uint8Array(1)
  regions.read(0, SCR, byte)
  return byte[0] ?? 0
}

/** A broken device, and a case that must notice. */
export interface Mutant {
  readonly breaks: string
  readonly noticedBy: string
  readonly create: () => Promise<MigrationDevice>
  readonly driver?: () => Driver
}

function driverMutant(breaks: string, noticedBy: string, driver: () => Driver): Mutant {
  return { breaks, noticedBy, driver, create: () => VfioDevice.open(driver()) }
}

export const MUTANTS: readonly Mutant[] = [
  driverMutant(
    'accepts a truncated stream',
    'a truncated stream is refused',
    breakDriver((driver) => {
      driver.loadsAnything = true
    }),
  ),
  driverMutant(
    'takes bytes past the end',
    'an extended stream is refused',
    breakDriver((driver) => {
      driver.breakResume = (end) => {
        let left = 60
        const write = (src: Uint8Array): number => {
          end.write(src.subarray(0, left))
          left = Math.max(0, left - src.length)
          return src.length
        }
        return replace(end, { write })
      }
    }),
  ),
  driverMutant('forgets a refused header', 'a damaged header is refused, and stays refused', () =>
    createMtty({ profile: 'exact' }),
  ),
  driverMutant(
    'keeps the bytes of an abandoned stream',
    'every resuming session starts afresh',
    breakDriver((driver) => {
      let kept: number[] = []
      driver.breakResume = (end) => {
        end.write(Uint8Array.from(kept))
        const write = (src: Uint8Array): number => {
          const byteLength = end.write(src)
          kept = kept.length + byteLength < 60 ? [...kept, ...src] : []
          return byteLength
        }
        return replace(end, { write })
      }
    }),
  ),
  driverMutant(
    'moves in STOP on a clock of its own',
    'nothing moves in STOP',
    breakDriver((driver, regions) => {
      const startedAt = performance.now()
      driver.onArc = (to) => {
        if (to === STOP_COPY) regions.write(0, SCR, Uint8Array.of((performance.now() - startedAt) & 0xff))
      }
    }),
  ),
  driverMutant(
    'streams registers as they are when read',
    'register access in STOP_COPY does not alter the stream',
    breakDriver((driver, regions) => {
      driver.breakSave = (end) => {
        let position = 0
        const read = (dst: Uint8Array): number => {
          const byteLength = end.read(dst)
          const at = SCR_IN_STREAM - position
          if (at >= 0 && at < byteLength) dst[at] = scratchOf(regions)
          position += byteLength
          return byteLength
        }
        return replace(end, { read })
      }
    }),
  ),
  driverMutant(
    'starts the stream over at its end',
    'the end of the stream is permanent in STOP_COPY',
    breakDriver((driver) => {
      driver.breakSave = (end) => {
        let ended = false
        const read = (dst: Uint8Array): number => {
          if (ended) return 1
          const byteLength = end.read(dst)
          ended = byteLength === 0
          return byteLength
        }
        return replace(end, { read })
      }
    }),
  ),
  driverMutant(
    'loses what PRE_COPY left unread',
    'a stream read over both phases is whole',
    breakDriver((driver) => {
      let end: SaveEnd | undefined
      driver.breakSave = (opened) => (end = opened)
      driver.onArc = (to) => {
        if (to === PRE_COPY) end = undefined
        if (to === STOP_COPY) end?.read(new Uint8Array(8))
      }
    }),
  ),
  driverMutant(
    'shows 0 at the temporary end',
    'the temporary end of PRE_COPY is no end',
    breakDriver((driver) => {
      driver.breakSave = (end) => replace(end, { rawEnd: true })
    }),
  ),
  driverMutant(
    'reports half of what it delivers',
    'the stop-copy length covers what is delivered',
    breakDriver((driver) => {
      driver.length = 30
    }),
  ),
  {
    breaks: 'leaves a session alive after its arc',
    noticedBy: 'STOP_COPY to STOP ends the session',
    create: breakDevice((device) => ({
      setState: async (target) => {
        const session = await device.setState(target)
        if (session === undefined) return undefined
        const undead: Partial<MigrationSession> = { ended: new AbortController().signal, poll: () => 0 }
        return replace(session, undead)
      },
    })),
  },
  {
    breaks: 'returns a second session in STOP_COPY',
    noticedBy: 'setState from STOP_COPY to STOP_COPY',
    create: breakDevice((device) => {
      let open: MigrationSession | undefined
      return {
        setState: async (target) => {
          const session = await device.setState(target)
          if (session !== undefined) open = session
          return target === STOP_COPY ? open : session
        },
      }
    }),
  },
  {
    breaks: 'stays in PRE_COPY instead of PRE_COPY_P2P',
    noticedBy: 'setState from PRE_COPY to PRE_COPY_P2P',
    create: breakDevice((device) => ({
      setState: (target, options) => device.setState(target === PRE_COPY_P2P ? PRE_COPY : target, options),
    })),
  },
  {
    breaks: 'takes a number that is no state for STOP',
    noticedBy: 'setState from RUNNING refuses numbers that are no state',
    create: breakDevice((device) => ({
      setState: (target, options) => device.setState(target > 7 ? STOP : target, options),
    })),
  },
  {
    breaks: 'stops after a reset',
    noticedBy: 'reset in STOP_COPY',
    create: breakDevice((device) => ({
      reset: async () => {
        await device.reset()
        await device.setState(STOP)
      },
    })),
  },
  {
    breaks: 'answers register access in RESUMING',
    noticedBy: 'register access in RESUMING is EBUSY',
    create: breakDevice(() => ({ regions: createMtty().regions })),
  },
  {
    breaks: 'claims another data_fd by ioctl',
    noticedBy: 'ioctl and typed calls report the same device',
    create: breakDevice((device) => ({
      ioctl: async (request, memory, address) => {
        const rc = (await device.ioctl?.(request, memory, address)) ?? 0
        new DataView(memory.buffer).setInt32(12, 3, true)
        return rc
      },
    })),
  },
]
