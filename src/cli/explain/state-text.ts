/**
 * Device states and capability flags in words.
 *
 * @module
 */

import { transitionPath } from '../../fsm/index.ts'
import { VfioError } from '../../errors.ts'
import { DeviceState, MigrationFlag, deviceStateName } from '../../uapi/state.ts'
import { flagNames } from '../words.ts'
import type { Answer } from './answer.ts'

const MEANING: Readonly<Record<DeviceState, string>> = {
  [DeviceState.ERROR]: 'The device failed. It cannot be requested, and only a reset leaves it.',
  [DeviceState.STOP]: 'No DMA, no interrupts, nothing changes inside.',
  [DeviceState.RUNNING]: 'Everything works. The state after open and after every reset.',
  [DeviceState.STOP_COPY]: 'As STOP, with a readable data fd; its end means that all state was delivered.',
  [DeviceState.RESUMING]:
    'Stopped and fed through a writable data fd. Leaving it loads and checks the stream; giving up needs a reset.',
  [DeviceState.RUNNING_P2P]: 'As RUNNING, but the device starts no new peer-to-peer DMA. Needs flag P2P.',
  [DeviceState.PRE_COPY]:
    'Running with a readable data fd; ENOMSG is "nothing now", and STOP_COPY goes on with the same fd. Needs flag PRE_COPY.',
  [DeviceState.PRE_COPY_P2P]:
    'As PRE_COPY, but the device starts no new peer-to-peer DMA. Needs flags P2P and PRE_COPY.',
}

/** A state by number. */
export function explainState(state: DeviceState): Answer {
  const reachable = Object.values(DeviceState).filter((target) => target !== state && canGo(state, target))
  const ways = reachable.map(deviceStateName).join(', ')
  return {
    kind: 'state',
    title: `state ${state} is ${deviceStateName(state)}`,
    notes: [
      MEANING[state],
      ways === '' ? 'It leads nowhere but to a reset.' : `With flags 7 it can go to ${ways}.`,
    ],
  }
}

function canGo(from: DeviceState, to: DeviceState): boolean {
  try {
    transitionPath(from, to, 7)
    return true
  } catch (error) {
    if (VfioError.is(error)) return false
    throw error
  }
}

/** Capability flags, one or several. */
export function explainFlags(flags: number): Answer {
  const names = flags === 0 ? 'none' : flagNames(flags).join(', ')
  const usable = (flags & MigrationFlag.STOP_COPY) !== 0
  return {
    kind: 'flag',
    title: `migration flags ${flags} are ${names}`,
    notes: [
      usable
        ? 'A valid set: the device can be stopped and copied.'
        : 'No valid set on its own: STOP_COPY (1) must be there, so that sets are 1, 3, 5 and 7.',
    ],
  }
}
