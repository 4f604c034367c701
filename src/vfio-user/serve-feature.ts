/**
 * Answers DEVICE_FEATURE: migration and DMA logging.
 *
 * @module
 */

import { type Awaitable, VfioError } from '../errors.ts'
import type { Struct } from '../uapi/struct.ts'
import { DeviceFeature, deviceFeatureName } from '../uapi/features.ts'
import { FeatureHeader } from '../uapi/structs/feature-header.ts'
import { FeatureMigDataSize } from '../uapi/structs/feature-mig-data-size.ts'
import { FeatureMigration } from '../uapi/structs/feature-migration.ts'
import { FeatureMigState, NO_DATA_FD } from '../uapi/structs/feature-mig-state.ts'
import { type Answer, answer, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { type FeatureCall, featureCallOf } from './feature-call.ts'
import { serveLoggingReport, serveLoggingStart, serveLoggingStop } from './serve-logging.ts'
import type { ServedClient } from './served-client.ts'
import { UserDmaLoggingControl, UserDmaLoggingReport } from './structs.ts'

type Serve = (call: FeatureCall, client: ServedClient) => Awaitable<Answer>

/** A feature: what it does, and how many bytes of data each operation has at least. */
interface Feature {
  readonly get?: Serve
  readonly set?: Serve
  readonly getBytes: number
  /** Of a GET's reply. */
  readonly replyBytes: number
  readonly setBytes: number
}

const STATE_BYTES: number = FeatureMigState.byteLength

const FEATURES: ReadonlyMap<number, Feature> = new Map<number, Feature>([
  [
    DeviceFeature.MIGRATION,
    { get: getMigration, getBytes: 0, replyBytes: FeatureMigration.byteLength, setBytes: 0 },
  ],
  [
    DeviceFeature.MIG_DEVICE_STATE,
    { get: getState, set: setState, getBytes: 0, replyBytes: STATE_BYTES, setBytes: STATE_BYTES },
  ],
  [
    DeviceFeature.DMA_LOGGING_START,
    { set: serveLoggingStart, getBytes: 0, replyBytes: 0, setBytes: UserDmaLoggingControl.byteLength },
  ],
  [DeviceFeature.DMA_LOGGING_STOP, { set: serveLoggingStop, getBytes: 0, replyBytes: 0, setBytes: 0 }],
  [
    DeviceFeature.DMA_LOGGING_REPORT,
    {
      get: serveLoggingReport,
      getBytes: UserDmaLoggingReport.byteLength,
      replyBytes: UserDmaLoggingReport.byteLength,
      setBytes: 0,
    },
  ],
  [
    DeviceFeature.MIG_DATA_SIZE,
    { get: getDataSize, getBytes: 0, replyBytes: FeatureMigDataSize.byteLength, setBytes: 0 },
  ],
])

/**
 * One feature call. A device that cannot migrate has none of them; MIG_DATA_SIZE is the kernel's and ours, for
 * devices that know it.
 *
 * @throws {@link VfioError} EINVAL no such feature or operation, too few bytes, argsz too small; the device's own
 */
export async function serveFeature(command: QueuedCommand, client: ServedClient): Promise<Answer> {
  const call = featureCallOf(command)
  const name = deviceFeatureName(call.feature)
  const feature = FEATURES.get(call.feature)
  if (feature === undefined || (await client.migration.flags()) === 0)
    throw refusal(`the device has no ${name}, go on without it`)
  const { get, set } = feature
  if ((call.isGet && get === undefined) || (call.isSet && set === undefined))
    throw refusal(`${name} has no such operation, use the other one`)
  if (call.feature === DeviceFeature.MIG_DATA_SIZE) await dataSize(client)
  if (call.isProbe) return answer(call.echo)
  const wanted = call.isGet ? feature.getBytes : feature.setBytes
  if (call.data.length < wanted) throw refusal(`${call.data.length} bytes of ${name}, send ${wanted}`)
  const needed = FeatureHeader.byteLength + feature.replyBytes
  if (call.isGet && call.argsz < needed)
    throw refusal(`argsz of ${name} is ${call.argsz}, set it to ${needed}`)
  return (call.isGet ? get : set)!(call, client)
}

async function getMigration(call: FeatureCall, { migration }: ServedClient): Promise<Answer> {
  return reply(call, FeatureMigration, { flags: BigInt(await migration.flags()) })
}

async function getState(call: FeatureCall, { migration }: ServedClient): Promise<Answer> {
  return reply(call, FeatureMigState, { deviceState: await migration.state(), dataFd: NO_DATA_FD })
}

async function setState({ data, echo }: FeatureCall, { migration, gone }: ServedClient): Promise<Answer> {
  await migration.go(FeatureMigState.decode(data).deviceState, gone)
  return answer(echo)
}

async function getDataSize(call: FeatureCall, client: ServedClient): Promise<Answer> {
  return reply(call, FeatureMigDataSize, { stopCopyLength: BigInt(await dataSize(client)) })
}

async function dataSize({ migration: { device, saved } }: ServedClient): Promise<number> {
  try {
    if (device.stopCopyLength !== undefined)
      return (await device.stopCopyLength()) + (saved?.unsentBytes ?? 0)
  } catch (error) {
    if (!VfioError.is(error, 'ENOTTY')) throw error
  }
  throw refusal('the device does not know how much it will deliver, go on without it')
}

function reply<Value>({ flags }: FeatureCall, struct: Struct<Value>, value: Value): Answer {
  const argsz = FeatureHeader.byteLength + struct.byteLength
  return answer(FeatureHeader.encode({ argsz, flags }), struct.encode(value))
}
