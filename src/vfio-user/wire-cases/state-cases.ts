/**
 * The state machine, asked in RUNNING, and on one tour through the states: PRE_COPY, STOP_COPY, STOP.
 *
 * Every pair of states is tried by the exported suite; here is what the wire adds.
 *
 * @module
 */

import { DeviceState, deviceStateName, MigrationFlag } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { CONFIG_REGION, deviceInfo, getState, regionAccess, setState } from './messages.ts'
import { readRegion } from './region-cases.ts'
import type { Trial } from './trial.ts'
import { NotApplicable, type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { DEVICE_FEATURE, DEVICE_GET_INFO, REGION_READ } = VfioUserCommand
const { ERROR, STOP, RUNNING, STOP_COPY, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P } = DeviceState

const GATE =
  'in STOP and STOP_COPY there are only region access, features and MIG_DATA_READ; ask for the rest, and set up DMA and interrupts, in another state'

/** Requests for a state while the device is RUNNING. */
export function runningStateCases(): BenchCase[] {
  return wireCases('state', [
    ...[0xffff_ffff, 0x1234_5678].map((dataFd): WireCaseBody => ({
      name: `a SET of the state it is in is echoed with data_fd 0x${dataFd.toString(16)}`,
      rule: 'SET of MIG_DEVICE_STATE succeeds and the reply is the request, byte for byte: C clients compare',
      safety: 'changes',
      needs: ['migration'],
      at: RUNNING,
      body: async (trial) => {
        const request = setState(RUNNING, dataFd)
        trial.expectBytes(await trial.success(DEVICE_FEATURE, request), request, 'the request')
      },
    })),
    ...[ERROR, 8, 9, 0xffff_ffff].map((state) => refusedState(RUNNING, state)),
    ...[RUNNING_P2P, PRE_COPY_P2P].map((state): WireCaseBody => {
      const written = refusedState(RUNNING, state)
      return {
        ...written,
        rule: 'a P2P state of a device without the flag is EINVAL and changes nothing',
        body: async (trial) => {
          if (((trial.facts.migrationFlags ?? 0) & MigrationFlag.P2P) !== 0)
            throw new NotApplicable('the device has P2P')
          await written.body(trial)
        },
      }
    }),
  ])
}

/** Around PRE_COPY. */
export function precopyStateCases(): BenchCase[] {
  return wireCases('state', [
    entered(PRE_COPY, ['migration', 'pre-copy']),
    infoIn(PRE_COPY, ['migration', 'pre-copy']),
    configIn(PRE_COPY, ['migration', 'pre-copy', 'config']),
  ])
}

/** Around STOP_COPY, which PRE_COPY is left for where it is. */
export function stopCopyStateCases(): BenchCase[] {
  return wireCases('state', [
    entered(STOP_COPY, ['migration']),
    infoIn(STOP_COPY, ['migration']),
    configIn(STOP_COPY, ['migration', 'config']),
    {
      ...refusedState(STOP_COPY, PRE_COPY),
      rule: 'STOP_COPY is no way back to PRE_COPY: EINVAL, and nothing changes',
    },
  ])
}

/** Around STOP. */
export function stopStateCases(): BenchCase[] {
  return wireCases('state', [
    entered(STOP, ['migration']),
    infoIn(STOP, ['migration']),
    configIn(STOP, ['migration', 'config']),
    refusedState(STOP, ERROR),
  ])
}

/** The state that a device tells. */
export async function toldState(trial: Trial): Promise<number> {
  const reply = await trial.replyOf(16, DEVICE_FEATURE, getState())
  return new DataView(reply.buffer, reply.byteOffset + 8, 8).getUint32(0, true)
}

function entered(state: DeviceState, needs: WireCaseBody['needs'] & object): WireCaseBody {
  return {
    name: `${deviceStateName(state)} is told, and echoed`,
    rule: 'GET tells the state that was SET, and a SET of the same state succeeds, byte for byte',
    safety: 'changes',
    needs,
    at: state,
    body: async (trial) => {
      trial.expect((await toldState(trial)) === state, deviceStateName(state))
      const request = setState(state)
      trial.expectBytes(await trial.success(DEVICE_FEATURE, request), request, 'the request')
    },
  }
}

function refusedState(at: DeviceState, target: number): WireCaseBody {
  return {
    name: `${deviceStateName(target)} is refused in ${deviceStateName(at)}`,
    rule: 'a state that cannot be asked for is EINVAL and changes nothing',
    safety: 'changes',
    needs: ['migration'],
    at,
    body: async (trial) => {
      await trial.refused(['EINVAL'], DEVICE_FEATURE, setState(target))
      const { sent, answer } = trial
      trial.expect((await toldState(trial)) === at, `${deviceStateName(at)} after it`)
      trial.sent = sent
      trial.answer = answer
    },
  }
}

function infoIn(state: DeviceState, needs: WireCaseBody['needs'] & object): WireCaseBody {
  return {
    name: `the device is described in ${deviceStateName(state)}`,
    rule: 'a device says what it is in every state, or refuses in STOP and STOP_COPY: EINVAL, and the connection goes on',
    safety: 'changes',
    needs,
    at: state,
    body: async (trial) => {
      if (state === PRE_COPY) {
        await trial.replyOf(16, DEVICE_GET_INFO, deviceInfo())
        return
      }
      const reply = await trial.successOrHabit(DEVICE_GET_INFO, deviceInfo(), 'EINVAL', GATE)
      trial.expect((reply?.length ?? 16) === 16, 'a reply with 16 bytes behind its header')
    },
  }
}

function configIn(state: DeviceState, needs: WireCaseBody['needs'] & object): WireCaseBody {
  return {
    name: `configuration space is read in ${deviceStateName(state)}`,
    rule: 'registers can be read while the device is stopped; in STOP_COPY they can, or it is EINVAL, and no byte of the stream changes',
    safety: 'changes',
    needs,
    at: state,
    body: async (trial) => {
      if (state !== STOP_COPY) {
        await readRegion(trial, CONFIG_REGION, 0, 4)
        return
      }
      const request = regionAccess(CONFIG_REGION, 0n, 4)
      await trial.successOrHabit(REGION_READ, request, 'EINVAL', 'no region can be accessed in STOP_COPY')
    },
  }
}
