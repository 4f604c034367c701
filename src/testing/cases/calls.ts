/**
 * The calls around the state machine: identity, estimates, concurrency, abort, DMA logging, ioctl.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import type { Bench, CaseBody } from '../conformance-case.ts'
import { expectErrno, expectSame, expectThat } from '../expectation.ts'
import { openSession, readStream, readToEnd, readToIdle } from '../session-bytes.ts'

const MAX_TYPE_BYTES = 48
const LOG_PAGE_BYTES = 4096

/** Cases about everything that is neither a walk, a session nor a register. */
export function callCases(): CaseBody[] {
  return [
    {
      name: 'flags and identity are well-formed',
      rule: 'flags are 1, 3, 5 or 7; a type has 1 to 48 bytes, a version is 1 and up, a fingerprint has 8 bytes',
      body: async ({ open }) => {
        const device = await open()
        const flags = await device.migrationFlags()
        expectThat([1, 3, 5, 7].includes(flags & 7), 'migrationFlags()', '1, 3, 5 or 7', flags)
        const { type, version, fingerprint } = device.identity
        const typeBytes = new TextEncoder().encode(type).length
        expectThat(typeBytes >= 1 && typeBytes <= MAX_TYPE_BYTES, 'identity.type', '1 to 48 bytes', typeBytes)
        expectThat(Number.isSafeInteger(version) && version >= 1, 'identity.version', '1 and up', version)
        expectSame('bytes of identity.fingerprint', fingerprint.length, 8)
      },
    },
    {
      name: 'the stop-copy length covers what is delivered',
      rule: 'the estimate of STOP_COPY is no less than its stream, or the device has none (ENOTTY)',
      body: async ({ open }) => {
        const device = await open()
        await device.setState(DeviceState.STOP)
        const length = await optional(device.stopCopyLength?.bind(device))
        if (length === undefined) return
        const delivered = (await readStream(device)).length
        const covers = Number.isSafeInteger(length) && length >= delivered
        expectThat(covers, 'stopCopyLength() in STOP', `at least ${delivered}`, length)
      },
    },
    {
      name: 'precopy info counts unread bytes',
      rule: 'initial and dirty bytes are counts of what is unread, in PRE_COPY only (EINVAL elsewhere)',
      needs: ['pre-copy'],
      body: tryPrecopyInfo,
    },
    {
      name: 'concurrent transitions are taken one after the other',
      rule: 'all calls are serialised by one lock; two requests for STOP_COPY open one session',
      body: async ({ open }) => {
        const device = await open()
        const { STOP_COPY, STOP, RUNNING } = DeviceState
        const sessions = await Promise.all([device.setState(STOP_COPY), device.setState(STOP_COPY)])
        const count = sessions.filter((session) => session !== undefined).length
        expectSame('sessions of two concurrent setState(STOP_COPY)', count, 1)
        await Promise.all([device.setState(STOP), device.setState(RUNNING), device.setState(STOP)])
        expectSame('state after STOP, RUNNING, STOP at once', deviceStateName(await device.state()), 'STOP')
      },
    },
    {
      name: 'a reset wins over a transition under way',
      rule: 'a reset is deferred, never lost: whatever the racing call answers, the device ends in RUNNING and its session is dead',
      body: async ({ open }) => {
        const device = await open()
        const [transition] = await Promise.allSettled([
          device.setState(DeviceState.STOP_COPY),
          device.reset(),
        ])
        expectSame('state after both', deviceStateName(await device.state()), 'RUNNING')
        const session = transition.status === 'fulfilled' ? transition.value : undefined
        if (session === undefined) return
        await expectErrno('read of the session', () => session.read(new Uint8Array(1)), 'ENODEV')
      },
    },
    {
      name: 'an aborted transition stops between arcs',
      rule: 'an abort is EINTR, and the state is one of the walk',
      body: async ({ open }) => {
        const device = await open()
        const aborted = AbortSignal.abort()
        await expectErrno(
          'setState(STOP_COPY) with an aborted signal',
          () => device.setState(DeviceState.STOP_COPY, { signal: aborted }),
          'EINTR',
        )
        const state = await device.state()
        const isOnWalk = [DeviceState.RUNNING, DeviceState.RUNNING_P2P, DeviceState.STOP].some(
          (on) => on === state,
        )
        expectThat(isOnWalk, 'state after the abort', 'RUNNING, RUNNING_P2P or STOP', deviceStateName(state))
        expectThat((await readStream(device)).length > 0, 'the next save', 'a stream', 'nothing')
      },
    },
    {
      name: 'DMA logging starts once, reports while started and only ever sets bits',
      rule: 'START while started and REPORT while stopped are EINVAL, STOP while stopped is not; a report is ORed into the bitmap',
      needs: ['dma-logging'],
      body: tryDmaLogging,
    },
  ]
}

/** The result of a call that a device may lack: undefined when absent or ENOTTY. */
async function optional<T>(call: (() => Promise<T>) | undefined): Promise<T | undefined> {
  try {
    return await call?.()
  } catch (error) {
    if (VfioError.is(error, 'ENOTTY')) return undefined
    throw error
  }
}

async function tryPrecopyInfo({ open }: Bench): Promise<void> {
  const device = await open()
  const session = await openSession(device, DeviceState.PRE_COPY)
  const info = await optional(async () => session.precopyInfo())
  if (info === undefined) return
  for (const count of [info.initialBytes, info.dirtyBytes]) {
    expectThat(Number.isSafeInteger(count) && count >= 0, 'precopyInfo() in PRE_COPY', 'byte counts', count)
  }
  const { stream } = await readToIdle(session, info.initialBytes)
  const after = await session.precopyInfo()
  if (!after.reinit && stream.length === info.initialBytes) {
    expectSame('initialBytes after reading them', after.initialBytes, 0)
  }
  await device.setState(DeviceState.STOP_COPY)
  await expectErrno('precopyInfo() in STOP_COPY', () => session.precopyInfo(), 'EINVAL')
  const rest = await readToEnd(session)
  const total = stream.length + rest.length
  expectThat(total >= info.initialBytes, 'the whole stream', `at least ${info.initialBytes} bytes`, total)
}

async function tryDmaLogging({ open }: Bench): Promise<void> {
  const device = await open()
  const length = BigInt(16 * LOG_PAGE_BYTES)
  const start = (): Promise<number> =>
    device.dmaLoggingStart({ pageSize: LOG_PAGE_BYTES, ranges: [{ iova: 0n, length }] })
  const report = (bitmap: Uint8Array): Promise<void> =>
    device.dmaLoggingReport({ iova: 0n, length, pageSize: LOG_PAGE_BYTES }, bitmap)
  await device.dmaLoggingStop()
  await expectErrno('dmaLoggingReport while stopped', () => report(new Uint8Array(8)), 'EINVAL')
  const pageSize = await start()
  const isPower = pageSize > 0 && Number.isInteger(Math.log2(pageSize))
  expectThat(isPower, 'dmaLoggingStart', 'a power of two as page size', pageSize)
  await expectErrno('dmaLoggingStart while started', start, 'EINVAL')
  const bitmap = new Uint8Array(8).fill(0xff)
  await report(bitmap)
  expectThat(
    bitmap.every((bits) => bits === 0xff),
    'dmaLoggingReport into a bitmap of ones',
    'ones',
    [...bitmap],
  )
  await device.dmaLoggingStop()
  await device.dmaLoggingStop()
  expectSame('state after logging', deviceStateName(await device.state()), 'RUNNING')
}
