/**
 * VERSION: the first message of a connection.
 *
 * @module
 */

import { commandName, VfioUserCommand } from '../command.ts'
import { decodeVersion } from '../version.ts'
import { VfioError } from '../../errors.ts'
import { deviceInfo } from './messages.ts'
import type { Trial } from './trial.ts'
import { type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { VERSION, DEVICE_GET_INFO } = VfioUserCommand
/** How long a server may take to end a connection that it refused. */
const CLOSE_MS = 2000
/** Bytes of the VERSION message of QEMU 11.1, header included; it fails a device whose reply is longer. */
const QEMU_BYTES = 214
const QEMU_JSON =
  '{"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, "max_data_xfer_size": 1048576, "migration": {"pgsize": 4096, "max_bitmap_size": 268435456}, "write_multiple": true}}'

/** What the main connection can still be asked. */
export function laterVersionCases(): BenchCase[] {
  return wireCases('version', [
    {
      name: 'a second VERSION is refused',
      rule: 'the version is agreed upon once: EINVAL',
      body: (trial) => trial.refused(['EINVAL'], VERSION, versionBytes(0, 1, '{}')),
    },
  ])
}

/** First messages, right and wrong, each on a connection of its own. */
export function versionCases(): BenchCase[] {
  return wireCases('version', [
    accepted('minor 0 is answered with minor 0', 0, '{"capabilities": {}}'),
    accepted('a minor of 65535 is answered with the own one', 0xffff, '{"capabilities": {}}'),
    accepted('JSON may be missing', 1, undefined),
    accepted('JSON may be empty', 1, '{}'),
    accepted(
      'unknown keys are passed over',
      1,
      '{"capabilities": {"no_such_key": [1, {"a": null}]}, "x": 1}',
    ),
    {
      name: "the reply to QEMU is no longer than QEMU's request",
      rule: `QEMU 11.1 fails a device whose VERSION reply has more bytes than its request, which has ${QEMU_BYTES}`,
      safety: 'changes',
      fresh: true,
      body: async (trial) => {
        const payload = versionBytes(0, 0, QEMU_JSON.padEnd(QEMU_BYTES - 16 - 4 - 1))
        const reply = await trial.success(VERSION, payload)
        trial.expect(reply.length + 16 <= QEMU_BYTES, `at most ${QEMU_BYTES} bytes, header included`)
        const { minor, capabilities } = readVersion(trial, reply)
        trial.expect(minor === 0, 'minor 0')
        trial.expect((capabilities.max_msg_fds ?? 1) <= 16, 'max_msg_fds of at most 16')
        trial.expect((capabilities.migration?.pgsize ?? 4096) % 4096 === 0, 'pages of a multiple of 4096')
      },
    },
    refused('another major', versionBytes(1, 0, '{"capabilities": {}}')),
    refused('half a version', versionBytes(0, 1, undefined).subarray(0, 2)),
    refused('JSON without a NUL', versionBytes(0, 1, '{"capabilities": {}}').subarray(0, -1)),
    refused('JSON that is none', versionBytes(0, 1, '{"capabilities": ')),
    refused('capabilities that are no object', versionBytes(0, 1, '{"capabilities": 5}')),
    refused('a number that is a text', versionBytes(0, 1, '{"capabilities": {"max_msg_fds": "8"}}')),
    refused(
      'more descriptors than there can be',
      versionBytes(0, 1, '{"capabilities": {"max_msg_fds": 4294967295}}'),
    ),
    {
      ...refused('another command first', deviceInfo()),
      body: (trial) => refuseAndClose(trial, DEVICE_GET_INFO, deviceInfo()),
    },
  ])
}

function accepted(name: string, minor: number, json: string | undefined): WireCaseBody {
  return {
    name,
    rule: 'the reply has major 0, a minor no larger than either side has, and JSON that ends with a NUL, with capabilities',
    safety: 'changes',
    fresh: true,
    body: async (trial) => {
      const reply = await trial.success(VERSION, versionBytes(0, minor, json))
      const { major, minor: agreed } = readVersion(trial, reply)
      trial.expect(major === 0 && agreed <= minor, `version 0.0 to 0.${minor}`)
      trial.expect(reply.length > 4 && reply.at(-1) === 0, 'JSON that ends with a NUL')
      const text = new TextDecoder().decode(reply.subarray(4, -1))
      trial.expect(
        /"capabilities"\s*:\s*\{/.test(text),
        'JSON with capabilities, which clients in Rust demand',
      )
    },
  }
}

function readVersion(trial: Trial, reply: Uint8Array): ReturnType<typeof decodeVersion> {
  try {
    return decodeVersion(reply)
  } catch (error) {
    if (!VfioError.is(error)) throw error
    throw trial.mismatch(`a version: ${error.message}`)
  }
}

function refused(name: string, payload: Uint8Array): WireCaseBody {
  return {
    name: `${name} is refused, and the connection ended`,
    rule: 'a first message that is no VERSION that can be agreed upon is EINVAL, and the server ends the connection',
    safety: 'changes',
    fresh: true,
    body: (trial) => refuseAndClose(trial, VERSION, payload),
  }
}

async function refuseAndClose(trial: Trial, command: number, payload: Uint8Array): Promise<void> {
  await trial.refused(['EINVAL'], command, payload)
  const { answer } = trial
  const next = trial.note(await trial.peer.next(0, 0, CLOSE_MS))
  trial.expect(next.kind === 'closed', `the end of the connection after ${commandName(command)} was refused`)
  trial.answer = answer
}

function versionBytes(major: number, minor: number, json: string | undefined): Uint8Array {
  const text = json === undefined ? new Uint8Array(0) : new TextEncoder().encode(`${json}\0`)
  const bytes = new Uint8Array(4 + text.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, major, true)
  view.setUint16(2, minor, true)
  bytes.set(text, 4)
  return bytes
}
