/**
 * Headers that lie, after a right VERSION, each on a connection of its own.
 *
 * @module
 */

import { VfioUserCommand } from '../command.ts'
import { encodeVersion } from '../version.ts'
import { answerText, messageText, type RawMessage } from './answer.ts'
import { deviceInfo, joined } from './messages.ts'
import { encodeRaw } from './raw-peer.ts'
import type { Trial } from './trial.ts'
import { type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { VERSION, DEVICE_GET_INFO } = VfioUserCommand
const REPLY = 1
const NOTHING = new Uint8Array(0)
const DESYNC =
  'libvfio-user: a message whose header it refuses is not read to its end, and what is left is taken for the next header; connect again after such an error'

/** Sizes, types and pieces. */
export function framingCases(): BenchCase[] {
  return wireCases('framing', [
    lying('a size below the header', { command: DEVICE_GET_INFO, payload: NOTHING, byteLength: 15 }),
    lying('a size of 0', { command: DEVICE_GET_INFO, payload: NOTHING, byteLength: 0 }),
    lying('a size of 4 GiB', { command: DEVICE_GET_INFO, payload: NOTHING, byteLength: 0xffff_ffff }),
    lying('a command that is a reply', { command: DEVICE_GET_INFO, payload: deviceInfo(), flags: REPLY }),
    lying('a type that is none', { command: DEVICE_GET_INFO, payload: deviceInfo(), flags: 7 }),
    lying('a command without its payload', { command: DEVICE_GET_INFO, payload: NOTHING }),
    {
      name: 'a payload that comes in pieces is put together',
      rule: 'a stream socket has no borders: a message is complete when its bytes are there',
      safety: 'changes',
      fresh: true,
      body: async (trial) => {
        await agree(trial)
        await inPieces(trial, 16, 20)
      },
    },
    {
      name: 'a header that comes in pieces is put together',
      rule: 'a stream socket has no borders: a message is complete when its bytes are there',
      safety: 'changes',
      fresh: true,
      body: async (trial) => {
        await agree(trial)
        await inPieces(trial, 7, 16)
      },
    },
  ])
}

/** The server refuses the message and goes on in step, or ends the connection. */
function lying(name: string, message: RawMessage): WireCaseBody {
  return {
    name: `${name} costs the message or the connection, and nothing else`,
    rule: 'a header that lies is EINVAL or ends the connection; where it goes on, the next request is answered',
    safety: 'changes',
    fresh: true,
    body: async (trial) => {
      await agree(trial)
      const answer = await trial.call(message.command, message.payload, {
        flags: message.flags,
        byteLength: message.byteLength,
      })
      if (answer.kind === 'closed') return
      trial.expect(answer.kind === 'error', 'EINVAL, or the end of the connection')
      const { sent } = trial
      const next = await trial.peer.call({ command: DEVICE_GET_INFO, payload: deviceInfo() })
      trial.sent = sent
      if (next.kind === 'reply' || next.kind === 'closed') return
      trial.sent = `${sent}, then ${messageText({ command: DEVICE_GET_INFO, payload: deviceInfo() })}`
      trial.note(next)
      trial.expect(false, `a reply, or the end of the connection, after ${answerText(answer)}`, {
        when: () => true,
        quirk: DESYNC,
      })
    },
  }
}

async function agree(trial: Trial): Promise<void> {
  await trial.success(VERSION, encodeVersion({ major: 0, minor: 1, capabilities: { max_msg_fds: 1 } }))
}

/** A request cut at two places, with time for each piece to arrive alone. */
async function inPieces(trial: Trial, ...cuts: readonly number[]): Promise<void> {
  const payload = deviceInfo()
  const id = trial.peer.nextId()
  const message = joined(encodeRaw({ command: DEVICE_GET_INFO, payload }, id), payload)
  trial.sent = `${messageText({ command: DEVICE_GET_INFO, payload })}, cut at ${cuts.join(' and ')}`
  let at = 0
  for (const cut of [...cuts, message.length]) {
    await trial.peer.sendBytes(message.subarray(at, cut))
    at = cut
    await new Promise((resolve) => setTimeout(resolve, PIECE_MS))
  }
  const answer = trial.note(await trial.peer.next(id, DEVICE_GET_INFO))
  trial.expect(answer.kind === 'reply', 'a reply', {
    when: () => true,
    quirk:
      'libvfio-user: a message must come in one piece, or it is refused, or the connection ended; write each at once',
  })
}

/** Long enough for a server that is awake to read a piece alone; a sleepier one is only tested less. */
const PIECE_MS = 20
