/**
 * Ids, order, and errors: what holds for every command.
 *
 * @module
 */

import { DeviceState } from '../../uapi/state.ts'
import { DeviceFeature, VFIO_DEVICE_FEATURE_SET } from '../../uapi/features.ts'
import { commandName, VfioUserCommand } from '../command.ts'
import { answerText, messageText } from './answer.ts'
import { CONFIG_REGION, deviceInfo, feature, joined, regionAccess, regionInfo, setState } from './messages.ts'
import { encodeRaw } from './raw-peer.ts'
import type { Trial } from './trial.ts'
import { type BenchCase, type WireCaseBody, WireMismatch, wireCases } from './wire-case.ts'

const { DEVICE_GET_INFO, DEVICE_GET_REGION_INFO, DEVICE_FEATURE, REGION_READ, DMA_READ, DMA_WRITE } =
  VfioUserCommand
const PIPELINED = 128
const NO_REPLY = 0x10
const PADDED_ERROR =
  'libvfio-user: this refusal carries a payload; a client must read all that the header announces'

/** Rules of messages that do not depend on what they say. */
export function orderCases(): BenchCase[] {
  return wireCases('order', [
    {
      name: 'ids are echoed, also one that comes twice',
      rule: 'a reply has the id and the command of its request; ids need not be unique',
      body: async (trial) => {
        for (const id of [0, 0xffff, 7, 7]) {
          const answer = await trial.call(DEVICE_GET_INFO, deviceInfo(), { id })
          trial.expect(answer.kind === 'reply', `a reply with id ${id}`)
        }
      },
    },
    {
      name: `${PIPELINED} requests at once are answered in order`,
      rule: 'commands are taken one after the other; a client need not wait for a reply before its next request',
      body: async (trial) => {
        const payload = deviceInfo()
        const message = { command: DEVICE_GET_INFO, payload }
        const ids = Array.from({ length: PIPELINED }, () => trial.peer.nextId())
        trial.sent = `${PIPELINED} times ${messageText(message)}`
        await trial.peer.sendBytes(joined(...ids.flatMap((id) => [encodeRaw(message, id), payload])))
        for (const id of ids) {
          const answer = trial.note(await trial.peer.next(id, DEVICE_GET_INFO))
          trial.expect(answer.kind === 'reply', 'a reply to each, in order')
        }
      },
    },
    {
      name: 'a request that wants no reply gets none',
      rule: 'flag 0x10: the command is done and not answered',
      body: async (trial) => {
        trial.sent = messageText({ command: DEVICE_GET_INFO, payload: deviceInfo(), flags: NO_REPLY })
        await trial.peer.send({ command: DEVICE_GET_INFO, payload: deviceInfo(), flags: NO_REPLY })
        const id = await trial.peer.send({ command: DEVICE_GET_REGION_INFO, payload: regionInfo(0) })
        const answer = trial.note(await trial.peer.next(id, DEVICE_GET_REGION_INFO))
        trial.expect(answer.kind === 'reply', 'only the reply to the next request')
      },
    },
    ...[0, 14, 19, 0xffff].map((command) => unknownCommand(command, `${commandName(command)} is refused`)),
    ...[DMA_READ, DMA_WRITE].map((command) =>
      unknownCommand(command, `${commandName(command)} from a client is refused`),
    ),
    {
      name: 'REGION_WRITE_MULTI is refused where it was not negotiated',
      rule: 'a client that was not told of write_multiple does not use it: EINVAL',
      body: async (trial) => {
        await trial.refused(['EINVAL', 'EOPNOTSUPP', 'ENOTTY'], 15, new Uint8Array(32))
        await stillAnswers(trial)
      },
    },
    bareError('of an index', DEVICE_GET_REGION_INFO, regionInfo(0xffff)),
    bareError('of a command', 14, new Uint8Array(16)),
    bareError('of a region access', REGION_READ, regionAccess(CONFIG_REGION, 0xffff_ffffn, 4)),
    bareError(
      'of a SET',
      DEVICE_FEATURE,
      feature(DeviceFeature.MIGRATION | VFIO_DEVICE_FEATURE_SET, new Uint8Array(8)),
    ),
    {
      ...bareError('of a state', DEVICE_FEATURE, setState(DeviceState.ERROR)),
      safety: 'changes',
      needs: ['migration'],
    },
  ])
}

function unknownCommand(command: number, name: string): WireCaseBody {
  return {
    name,
    rule: 'a command that the server does not have is refused, and the next one is answered',
    body: async (trial) => {
      await trial.refused(['EINVAL', 'EOPNOTSUPP', 'ENOTTY'], command, new Uint8Array(16))
      await stillAnswers(trial)
    },
  }
}

/** The next request is answered: nothing of the refused one was left lying about. */
async function stillAnswers(trial: Trial): Promise<void> {
  const { sent, answer } = trial
  const next = await trial.peer.call({ command: DEVICE_GET_INFO, payload: deviceInfo() })
  if (next.kind !== 'reply') throw new WireMismatch(`a reply to the next request, not ${answerText(next)}`)
  trial.sent = sent
  trial.answer = answer
}

function bareError(what: string, command: number, payload: Uint8Array): WireCaseBody {
  return {
    name: `the refusal ${what} is a bare header`,
    rule: 'an error reply is the header alone, with a positive errno; C clients read no further',
    body: async (trial) => {
      const answer = await trial.call(command, payload)
      trial.expect(answer.kind === 'error', 'an error')
      const isBare = answer.kind === 'error' && answer.payload.length === 0
      trial.expect(isBare, 'a bare header', { when: () => true, quirk: PADDED_ERROR })
      trial.expect(
        answer.kind === 'error' && answer.errno > 0 && answer.errno < 4096,
        'an errno of 1 to 4095',
      )
    },
  }
}
