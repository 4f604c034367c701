/**
 * MIG_DATA_READ and MIG_DATA_WRITE: the stream, its end, and what is refused.
 *
 * @module
 */

import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { MigData } from '../structs.ts'
import { migData, setState } from './messages.ts'
import { toldState } from './state-cases.ts'
import { errnoQuirk, type Trial } from './trial.ts'
import { type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { MIG_DATA_READ, MIG_DATA_WRITE, DEVICE_FEATURE } = VfioUserCommand
const { RUNNING, STOP, STOP_COPY, PRE_COPY, RESUMING } = DeviceState
const HEAD_BYTES = MigData.byteLength
/** Reads until PRE_COPY counts as busy. */
const MAX_READS = 1024
const READ_BYTES = 4096
const WRITE_BYTES = 32 * 1024

/** Data in RUNNING: there is no session. */
export function runningDataCases(): BenchCase[] {
  return wireCases('data', [readRefused(RUNNING), writeRefused(RUNNING)])
}

/** Data in PRE_COPY. */
export function precopyDataCases(): BenchCase[] {
  const needs = ['migration', 'pre-copy'] as const
  return wireCases('data', [
    ...malformedReads(PRE_COPY, needs),
    writeRefused(PRE_COPY, needs),
    {
      name: 'PRE_COPY is read until it has no more',
      rule: 'a read is answered with argsz 8 + n, n, and the data, n at most what was asked; 0 says that there is nothing now',
      safety: 'changes',
      needs,
      at: PRE_COPY,
      body: async (trial) => {
        for (let turn = 0; turn < MAX_READS; turn++) if ((await readOnce(trial, READ_BYTES)) === 0) return
      },
    },
  ])
}

/** Data in STOP_COPY. */
export function stopCopyDataCases(): BenchCase[] {
  return wireCases('data', [
    ...malformedReads(STOP_COPY, ['migration']),
    writeRefused(STOP_COPY),
    {
      name: 'STOP_COPY is read to its end, and the end stays',
      rule: 'reads bring what was asked until the data ends; then n is 0, for good',
      safety: 'changes',
      needs: ['migration'],
      at: STOP_COPY,
      body: readWhole,
    },
  ])
}

/** Data in STOP. */
export function stopDataCases(): BenchCase[] {
  return wireCases('data', [readRefused(STOP), writeRefused(STOP)])
}

/** Data in RESUMING, and a whole stream. */
export function resumingDataCases(): BenchCase[] {
  const malformed: [name: string, request: Uint8Array][] = [
    ['with half a head', migData(4, new Uint8Array(4)).subarray(0, 4)],
    ['with an argsz below its data', migData(16, new Uint8Array(16), 12)],
    ['with less data than it says', migData(16, new Uint8Array(8))],
  ]
  return wireCases('data', [
    readRefused(RESUMING),
    ...malformed.map(([name, request]): WireCaseBody => ({
      name: `a write ${name} is refused in RESUMING`,
      rule: 'argsz and payload cover head and data: EINVAL, and nothing is taken',
      safety: 'changes',
      needs: ['migration'],
      at: RESUMING,
      body: (trial) => trial.refused(['EINVAL'], MIG_DATA_WRITE, request),
    })),
    {
      name: 'a whole stream is loaded',
      rule: 'what STOP_COPY delivered is taken in RESUMING, each write answered with a bare header, and STOP then succeeds',
      safety: 'changes',
      needs: ['migration'],
      at: RESUMING,
      body: async (trial) => {
        const stream = await trial.bench.savedStream()
        for (let at = 0; at < stream.length; at += WRITE_BYTES) {
          const piece = stream.subarray(at, at + WRITE_BYTES)
          await trial.replyOf(0, MIG_DATA_WRITE, migData(piece.length, piece))
        }
        await trial.success(DEVICE_FEATURE, setState(STOP))
      },
    },
    {
      name: 'a device that was loaded runs',
      rule: 'RUNNING follows on STOP',
      safety: 'changes',
      needs: ['migration'],
      at: STOP,
      body: async (trial) => {
        await trial.success(
          DEVICE_FEATURE,
          setState(RUNNING),
          errnoQuirk(
            'EINVAL',
            "libvfio-user: its sample server refuses RUNNING unless BAR0 holds a time to come; that is the sample's, and no rule",
          ),
        )
        const { sent, answer } = trial
        trial.expect((await toldState(trial)) === RUNNING, 'RUNNING after it')
        trial.sent = sent
        trial.answer = answer
      },
    },
  ])
}

async function readWhole(trial: Trial): Promise<void> {
  let total = 0
  let isShort = false
  for (let count = -1; count !== 0;) {
    count = await readOnce(trial, READ_BYTES)
    if (count > 0 && isShort) {
      trial.expect(false, `${READ_BYTES} bytes with every read but the last`, {
        when: () => true,
        quirk: 'libvfio-user: a device may bring less than was asked before its end; read until 0',
      })
    }
    isShort = count < READ_BYTES
    total += count
  }
  trial.expect(total > 0, 'a stream')
  for (const time of ['second', 'third'])
    trial.expect((await readOnce(trial, READ_BYTES)) === 0, `0 a ${time} time`)
}

/** One read; the bytes it brought. */
async function readOnce(trial: Trial, size: number): Promise<number> {
  const reply = await trial.success(MIG_DATA_READ, migData(size))
  trial.expect(reply.length >= HEAD_BYTES, 'a reply with 8 bytes or more')
  const { argsz, size: count } = MigData.decode(reply)
  trial.expect(count <= size, `at most ${size} bytes`)
  trial.expect(argsz === HEAD_BYTES + count, `argsz ${HEAD_BYTES + count}`)
  const isPadded = reply.length === HEAD_BYTES + size
  trial.expect(
    reply.length === HEAD_BYTES + count || isPadded,
    `${HEAD_BYTES + count} bytes, or padded to ${HEAD_BYTES + size}`,
  )
  if (isPadded && count < size)
    trial.habit('replies are padded to what was asked, as its client demands; n counts')
  return count
}

function readRefused(at: DeviceState): WireCaseBody {
  return {
    name: `a read is refused in ${deviceStateName(at)}`,
    rule: 'data is read in PRE_COPY and STOP_COPY: EINVAL',
    safety: 'changes',
    needs: ['migration'],
    at,
    body: (trial) => trial.refused(['EINVAL'], MIG_DATA_READ, migData(16)),
  }
}

function writeRefused(at: DeviceState, needs: WireCaseBody['needs'] & object = ['migration']): WireCaseBody {
  return {
    name: `a write is refused in ${deviceStateName(at)}`,
    rule: 'data is written in RESUMING: EINVAL',
    safety: 'changes',
    needs,
    at,
    body: (trial) => trial.refused(['EINVAL'], MIG_DATA_WRITE, migData(16, new Uint8Array(16))),
  }
}

function malformedReads(at: DeviceState, needs: WireCaseBody['needs'] & object): WireCaseBody[] {
  const requests: [name: string, request: (most: number) => Uint8Array][] = [
    ['with half a head', () => migData(16).subarray(0, 4)],
    ['with an argsz below its data', () => migData(16, undefined, 16)],
    ['of more than was negotiated', (most) => migData(most + 1)],
  ]
  return requests.map(([name, request]) => ({
    name: `a read ${name} is refused in ${deviceStateName(at)}`,
    rule: 'argsz covers head and data, and max_data_xfer_size bounds them: EINVAL, and no byte of the stream is lost',
    safety: 'changes',
    needs,
    at,
    body: (trial) => trial.refused(['EINVAL'], MIG_DATA_READ, request(trial.facts.maxDataBytes)),
  }))
}
