/**
 * DEVICE_RESET in every state of the tour.
 *
 * @module
 */

import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { toldState } from './state-cases.ts'
import { errnoQuirk, type Quirk } from './trial.ts'
import { type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { DEVICE_RESET } = VfioUserCommand
const { RUNNING, STOP, STOP_COPY, RESUMING } = DeviceState
const NOTHING = new Uint8Array(0)

const GATED = errnoQuirk(
  'EINVAL',
  'libvfio-user: there is no RESET in STOP and STOP_COPY; a source is SET to RUNNING instead',
)
const KEPT: Quirk = {
  when: () => true,
  quirk:
    'libvfio-user: RESET does not leave RESUMING; a destination whose stream broke off is closed and not used any more',
}

/** A reset of a device that runs. */
export function runningResetCases(): BenchCase[] {
  return wireCases('reset', [resetIn(RUNNING)])
}

/** Resets of a device that does not. */
export function stoppedResetCases(): BenchCase[] {
  return wireCases('reset', [resetIn(STOP_COPY), resetIn(STOP), resetIn(RESUMING)])
}

function resetIn(state: DeviceState): WireCaseBody {
  return {
    name: `a reset in ${deviceStateName(state)} ends in RUNNING`,
    rule: 'DEVICE_RESET without a payload is answered with a bare header; the device is RUNNING, and no stream goes on',
    safety: 'changes',
    needs: state === RUNNING ? ['reset'] : ['reset', 'migration'],
    ...(state === RUNNING ? {} : { at: state }),
    body: async (trial) => {
      await trial.replyOf(0, DEVICE_RESET, NOTHING, GATED)
      const { sent, answer } = trial
      if (trial.facts.migrationFlags === undefined) return
      const now = await toldState(trial)
      trial.sent = sent
      trial.answer = answer
      trial.expect(now === RUNNING, `RUNNING after it, not ${deviceStateName(now)}`, KEPT)
    },
  }
}
