/**
 * VFIO_DEVICE_FEATURE over the caller's bytes (facts A.1, A.2, A.6).
 *
 * Each handler copies its input in before the first await, so the caller may reuse its memory as soon as
 * the promise is returned, and writes its results once, after the last await.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { SessionHandle } from '../session/open-session.ts'
import { checkDmaLoggingReport, dmaBitmapByteLength, readDmaLoggingStart } from '../uapi/dma-logging.ts'
import { checkFeature, findFeature, parseFeatureHeader } from '../uapi/feature-checks.ts'
import { DeviceFeature } from '../uapi/features.ts'
import { DmaLoggingControl } from '../uapi/structs/dma-logging-control.ts'
import { DmaLoggingReport } from '../uapi/structs/dma-logging-report.ts'
import { FeatureMigDataSize } from '../uapi/structs/feature-mig-data-size.ts'
import { FeatureMigState, NO_DATA_FD } from '../uapi/structs/feature-mig-state.ts'
import { FeatureMigration } from '../uapi/structs/feature-migration.ts'
import { userBytes } from '../uapi/user-memory.ts'
import type { DeviceCore } from './device-core.ts'
import type { FdTable } from './fd-table.ts'
import { withState } from './state-error.ts'

/** One call's way to the device and to the caller's memory. */
interface FeatureCall {
  readonly core: DeviceCore
  readonly fds: FdTable
  readonly memory: Uint8Array
  /** Address of the structure behind the feature header. */
  readonly payload: number
}

/**
 * @returns 0
 * @throws {@link VfioError} in the order of facts A.1, then as the feature
 */
export async function featureIoctl(
  core: DeviceCore,
  fds: FdTable,
  memory: Uint8Array,
  address: number,
): Promise<number> {
  const request = parseFeatureHeader(memory, address)
  const rule = findFeature(request, core.capabilities)
  if (checkFeature(request, rule) === 'probe') return 0
  const call = { core, fds, memory, payload: request.payload }
  switch (rule.feature) {
    case DeviceFeature.MIGRATION:
      FeatureMigration.encodeInto(memory, call.payload, { flags: BigInt(core.flags()) })
      break
    case DeviceFeature.MIG_DEVICE_STATE:
      await (request.get ? getDeviceState(call) : setDeviceState(call))
      break
    case DeviceFeature.MIG_DATA_SIZE: {
      const stopCopyLength = BigInt(await core.stopCopyLength())
      FeatureMigDataSize.encodeInto(memory, call.payload, { stopCopyLength })
      break
    }
    case DeviceFeature.DMA_LOGGING_START:
      await startLogging(call)
      break
    case DeviceFeature.DMA_LOGGING_REPORT:
      await reportDirty(call)
      break
    case DeviceFeature.DMA_LOGGING_STOP:
      await core.stopLogging()
      break
    case DeviceFeature.MIG_PRECOPY_INFOv2:
      core.enablePrecopyInfoV2()
      break
    default:
      // Every feature that has a rule has a case above.
      throw new VfioError('ENOTTY', `Cannot call feature ${rule.feature}: it has no handler`)
  }
  return 0
}

async function getDeviceState({ core, memory, payload }: FeatureCall): Promise<void> {
  // The kernel copies the structure in for a GET too, so it can fault before the state is looked at.
  userBytes(memory, payload, FeatureMigState.byteLength)
  const deviceState = await core.state()
  FeatureMigState.encodeInto(memory, payload, { deviceState, dataFd: NO_DATA_FD })
}

async function setDeviceState(call: FeatureCall): Promise<void> {
  const { core, memory, payload } = call
  const { deviceState } = FeatureMigState.decode(memory, payload)
  let handle: SessionHandle | undefined
  try {
    handle = await core.setState(deviceState)
  } catch (error) {
    // device_state stays the requested value, not the actual state: a client must read the state back.
    writeMigState(call, deviceState, NO_DATA_FD)
    // To this caller it was the ioctl that failed.
    if (VfioError.is(error) && error.state !== undefined) throw withState(error, error.state, 'ioctl')
    throw error
  }
  if (handle === undefined) writeMigState(call, deviceState, NO_DATA_FD)
  else returnFd(call, deviceState, handle)
}

/** The number is published last, so a call that faults leaks none; the state has changed all the same. */
function returnFd(call: FeatureCall, deviceState: number, handle: SessionHandle): void {
  try {
    const fd = call.fds.lowestFree()
    writeMigState(call, deviceState, fd)
    call.fds.install(fd, handle)
  } catch (error) {
    handle.session.close()
    throw tellState(call, error)
  }
}

function writeMigState(call: FeatureCall, deviceState: number, dataFd: number): void {
  try {
    FeatureMigState.encodeInto(call.memory, call.payload, { deviceState, dataFd })
  } catch (error) {
    throw tellState(call, error)
  }
}

function tellState({ core }: FeatureCall, error: unknown): unknown {
  const state = core.stateNow
  return VfioError.is(error) && state !== undefined ? withState(error, state) : error
}

async function startLogging({ core, memory, payload }: FeatureCall): Promise<void> {
  const control = DmaLoggingControl.decode(memory, payload)
  const pageSize = await core.startLogging(readDmaLoggingStart(memory, payload))
  try {
    DmaLoggingControl.encodeInto(memory, payload, { ...control, pageSize })
  } catch (error) {
    try {
      await core.stopLogging()
    } catch {
      // The caller's fault comes first: it does not know that logging was on.
    }
    throw error
  }
}

async function reportDirty({ core, memory, payload }: FeatureCall): Promise<void> {
  const report = DmaLoggingReport.decode(memory, payload)
  checkDmaLoggingReport(report)
  const byteLength = dmaBitmapByteLength(report.length, report.pageSize)
  userBytes(memory, report.bitmap, byteLength)
  const bitmap = await core.reportDirty(report, report.pageSize)
  bitmap.orInto(userBytes(memory, report.bitmap, byteLength))
}
