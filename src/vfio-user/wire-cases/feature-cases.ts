/**
 * DEVICE_FEATURE: what it is asked, and what it refuses.
 *
 * @module
 */

import {
  DeviceFeature,
  deviceFeatureName,
  VFIO_DEVICE_FEATURE_GET,
  VFIO_DEVICE_FEATURE_PROBE,
  VFIO_DEVICE_FEATURE_SET,
} from '../../uapi/features.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { FeatureMigration } from '../../uapi/structs/feature-migration.ts'
import { VfioUserCommand } from '../command.ts'
import { feature, featureGet, featureProbe, getState } from './messages.ts'
import type { Trial } from './trial.ts'
import { type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { DEVICE_FEATURE } = VfioUserCommand
const { MIGRATION, MIG_DEVICE_STATE, MIG_DATA_SIZE } = DeviceFeature
const GET = VFIO_DEVICE_FEATURE_GET
const SET = VFIO_DEVICE_FEATURE_SET
const PROBE = VFIO_DEVICE_FEATURE_PROBE
const HEAD_BYTES = 8
/** A feature that no kernel has. */
const UNKNOWN = 0xfff0

/** Features and their operations. */
export function featureCases(): BenchCase[] {
  return wireCases('feature', [
    {
      name: 'MIGRATION tells the flags',
      rule: 'GET is answered with head and 8 bytes: STOP_COPY, with P2P and PRE_COPY or without (1, 3, 5, 7)',
      needs: ['migration'],
      body: async (trial) => {
        const reply = await trial.replyOf(HEAD_BYTES + 8, DEVICE_FEATURE, featureGet(MIGRATION, 8))
        const { flags } = FeatureMigration.decode(reply, HEAD_BYTES)
        trial.expect([1n, 3n, 5n, 7n].includes(flags), 'flags 1, 3, 5 or 7')
      },
    },
    {
      name: 'the state is told',
      rule: 'GET of MIG_DEVICE_STATE is answered with head and 8 bytes, a device that nobody stopped is RUNNING',
      needs: ['migration'],
      body: async (trial) => {
        const reply = await trial.replyOf(HEAD_BYTES + 8, DEVICE_FEATURE, getState())
        const state = new DataView(reply.buffer, reply.byteOffset + HEAD_BYTES, 8).getUint32(0, true)
        trial.expect(state === DeviceState.RUNNING, `RUNNING and not ${deviceStateName(state)}`)
      },
    },
    probe(MIGRATION, GET),
    probe(MIG_DEVICE_STATE, GET),
    probe(MIG_DEVICE_STATE, SET),
    probe(MIG_DEVICE_STATE, GET | SET),
    {
      name: 'a stop-copy estimate can be had',
      rule: 'MIG_DATA_SIZE is optional: its GET is answered with head and 8 bytes, or refused as its PROBE is',
      needs: ['migration'],
      body: async (trial) => {
        const probed = await trial.call(DEVICE_FEATURE, featureProbe(MIG_DATA_SIZE, GET))
        if (probed.kind === 'reply') {
          await trial.replyOf(HEAD_BYTES + 8, DEVICE_FEATURE, featureGet(MIG_DATA_SIZE, 8))
          return
        }
        await trial.refused(['EINVAL', 'ENOTTY', 'EOPNOTSUPP'], DEVICE_FEATURE, featureGet(MIG_DATA_SIZE, 8))
        trial.habit('it has no MIG_DATA_SIZE; what is read is what is measured')
      },
    },
    refused('a PROBE of a SET that a feature does not have', featureProbe(MIGRATION, SET)),
    refused('a GET without room for its data', featureGet(MIGRATION, 7)),
    refused('a GET of the state without room for it', featureGet(MIG_DEVICE_STATE, 4)),
    refused('no operation', feature(MIGRATION, new Uint8Array(8))),
    refused('GET and SET at once', feature(MIG_DEVICE_STATE | GET | SET, stateData(DeviceState.RUNNING))),
    refused('a SET of the flags', feature(MIGRATION | SET, new Uint8Array(8))),
    refused(
      'an argsz below the payload',
      feature(MIG_DEVICE_STATE | SET, stateData(DeviceState.RUNNING), 12),
    ),
    {
      name: 'half a head is refused',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      body: (trial) => trial.refused(['EINVAL'], DEVICE_FEATURE, featureGet(MIGRATION, 8).subarray(0, 4)),
    },
    {
      name: 'an unknown feature is refused',
      rule: 'a feature that the device does not have is refused, PROBE included',
      body: async (trial) => {
        const codes = ['EINVAL', 'ENOTTY', 'EOPNOTSUPP'] as const
        await trial.refused(codes, DEVICE_FEATURE, feature(UNKNOWN | PROBE | GET, new Uint8Array(0), 16))
        await trial.refused(codes, DEVICE_FEATURE, featureGet(UNKNOWN, 8))
      },
    },
  ])
}

function probe(index: number, operation: number): WireCaseBody {
  const names = [...((operation & GET) === 0 ? [] : ['GET']), ...((operation & SET) === 0 ? [] : ['SET'])]
  return {
    name: `PROBE of ${deviceFeatureName(index)} ${names.join('|')}`,
    rule: 'a PROBE of operations that the feature has echoes the request',
    needs: ['migration'],
    body: async (trial: Trial) => {
      const request = featureProbe(index, operation)
      trial.expectBytes(await trial.success(DEVICE_FEATURE, request), request, 'the request')
    },
  }
}

function refused(name: string, request: Uint8Array): WireCaseBody {
  return {
    name: `${name} is refused`,
    rule: 'exactly one operation that the feature has, or a PROBE, and argsz covers request and reply: EINVAL',
    needs: ['migration'],
    body: (trial) => trial.refused(['EINVAL'], DEVICE_FEATURE, request),
  }
}

function stateData(state: number): Uint8Array {
  const data = new Uint8Array(8)
  const view = new DataView(data.buffer)
  view.setUint32(0, state, true)
  view.setUint32(4, 0xffff_ffff, true)
  return data
}
