/**
 * What libvfio-user, or its sample server, dies of.
 *
 * @module
 */

import { DeviceFeature, VFIO_DEVICE_FEATURE_SET } from '../../uapi/features.ts'
import { DeviceState } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { deviceInfo, feature, loggingStart, loggingStop, setState } from './messages.ts'
import { type Quirk, successQuirk, type Trial } from './trial.ts'
import { type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { DEVICE_FEATURE, DEVICE_GET_INFO } = VfioUserCommand
const { RUNNING, STOP, STOP_COPY, PRE_COPY } = DeviceState

const DIED: Quirk = {
  when: ({ kind }) => kind === 'closed',
  quirk: 'libvfio-user: an assertion fails, and the server is gone; never do this to it',
}

/** Checks that a known server dies of. */
export function dangerousCases(): BenchCase[] {
  return wireCases('dangerous', [
    {
      name: 'a SET with half its data is refused',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read (libvfio-user reads on)',
      safety: 'dangerous',
      needs: ['migration'],
      at: RUNNING,
      body: (trial) =>
        trial.refused(
          ['EINVAL'],
          DEVICE_FEATURE,
          feature(DeviceFeature.MIG_DEVICE_STATE | VFIO_DEVICE_FEATURE_SET, Uint8Array.of(RUNNING, 0, 0, 0)),
          successQuirk('libvfio-user: it reads past the end of a SET that is too short'),
        ),
    },
    {
      name: 'DMA logging is started where no memory was mapped',
      rule: 'DMA_LOGGING_START succeeds or is refused (libvfio-user fails an assertion on a device without DMA)',
      safety: 'dangerous',
      needs: ['migration', 'logging'],
      body: async (trial) => {
        const answer = await trial.call(DEVICE_FEATURE, loggingStart(4096n, 0n, 4096n))
        trial.expect(answer.kind === 'reply' || answer.kind === 'error', 'an answer', DIED)
        await survived(trial)
        await trial.peer.call({ command: DEVICE_FEATURE, payload: loggingStop() })
      },
    },
    walked('STOP is entered from STOP_COPY before the stream was read', ['migration'], [STOP_COPY, STOP]),
    walked('a device is stopped and started', ['migration'], [STOP, RUNNING]),
    walked('PRE_COPY is given up', ['migration', 'pre-copy'], [PRE_COPY, RUNNING]),
  ])
}

function walked(
  name: string,
  needs: WireCaseBody['needs'] & object,
  states: readonly DeviceState[],
): WireCaseBody {
  return {
    name,
    rule: "a stream may be given up at any time (libvfio-user's sample server fails an assertion)",
    safety: 'dangerous',
    needs,
    at: RUNNING,
    body: async (trial) => {
      for (const state of states) await trial.success(DEVICE_FEATURE, setState(state), DIED)
      await survived(trial)
    },
  }
}

/** The server is there, and answers. */
async function survived(trial: Trial): Promise<void> {
  const { sent, answer } = trial
  const next = trial.note(await trial.peer.call({ command: DEVICE_GET_INFO, payload: deviceInfo() }))
  trial.expect(next.kind === 'reply' || next.kind === 'error', 'a server that lives on', DIED)
  trial.sent = sent
  trial.answer = answer
}
