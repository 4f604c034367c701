/** Guest memory as a device: layouts, round trips, and streams that nobody should believe. @module */

import { describe, expect, test } from 'vitest'

import { guestMemoryDestination, guestMemorySource } from '../../../src/migrate/guest-memory.ts'
import { encodeRecordHeader, RECORD_HEADER_BYTES } from '../../../src/migrate/guest-memory-records.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { verify } from '../../../src/migrate/verify.ts'
import type { MigrationSession } from '../../../src/session/migration-session.ts'
import { memoryPair } from '../../../src/transport/index.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { drain, PAGE, RANGES, recordsOf, TestMemory } from '../../support/guest-memory.ts'
import { codeOf, deferred } from '../../support/pending.ts'
import { outcome } from '../../support/vfio-error.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'

const FIRST = RANGES[0]!.iova

function record(iova: bigint, byteLength: number, kind: number, data = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + data.length)
  encodeRecordHeader(bytes, 0, { iova, byteLength, kind: kind as 1 })
  bytes.set(data, RECORD_HEADER_BYTES)
  return bytes
}

async function resuming(memory: TestMemory) {
  const device = guestMemoryDestination(memory)
  const session = (await device.setState(DeviceState.RESUMING)) as MigrationSession
  return { device, session }
}

async function stoppedStream(memory: TestMemory): Promise<Uint8Array> {
  const session = await guestMemorySource(memory, []).setState(DeviceState.STOP_COPY)
  return drain(session as MigrationSession)
}

describe('guest memory', () => {
  test.each([
    ['a page size of 2048', 2048, RANGES, 'EINVAL'],
    ['a page size of 6000', 6000, RANGES, 'EINVAL'],
    ['a page size of 512 KiB', 524_288, RANGES, 'EINVAL'],
    ['no ranges', PAGE, [], 'EINVAL'],
    ['an empty range', PAGE, [{ iova: 0n, length: 0n }], 'EINVAL'],
    ['a range off its page', PAGE, [{ iova: 100n, length: 4096n }], 'EINVAL'],
    ['a range of half a page', PAGE, [{ iova: 0n, length: 2048n }], 'EINVAL'],
    ['overlapping ranges', PAGE, [RANGES[1]!, RANGES[1]!], 'EINVAL'],
    ['a range past 2^64', PAGE, [{ iova: 2n ** 64n - 4096n, length: 8192n }], 'EOVERFLOW'],
    [
      '257 ranges',
      PAGE,
      Array.from({ length: 257 }, (_, i) => ({ iova: BigInt(i) << 20n, length: 4096n })),
      'E2BIG',
    ],
    ['more pages than can be tracked', PAGE, [{ iova: 0n, length: 2n ** 50n }], 'EINVAL'],
  ])('refuses %s', (_, pageSize, ranges, code) => {
    const memory = { pageSize, ranges, read: () => {}, write: () => {} }
    expect(outcome(() => guestMemorySource(memory, []))).toBe(code)
    expect(outcome(() => guestMemoryDestination(memory))).toBe(code)
  })

  test('has the same identity on both sides, in whatever order the ranges are passed', () => {
    const source = guestMemorySource(new TestMemory(), []).identity
    const destination = guestMemoryDestination(new TestMemory([RANGES[1]!, RANGES[0]!])).identity
    expect(destination).toEqual(source)
    expect(source).toMatchObject({ type: 'guest-memory', version: 1, stream: 'opaque' })
    expect(source.configuration).toMatchObject({ pageSize: PAGE, 'range.1.iova': 0x1_0000_0000n })
    const longer = [RANGES[0]!, { iova: RANGES[1]!.iova, length: 31n * 4096n }]
    expect(guestMemoryDestination(new TestMemory(longer)).identity.fingerprint).not.toEqual(
      source.fingerprint,
    )
  })

  test('goes through save and restore', async () => {
    const source = new TestMemory().fill()
    source.at(FIRST + 4096n, 3 * PAGE).fill(0)
    const destination = new TestMemory().fill()
    const [near, far] = memoryPair()
    await Promise.all([
      save(guestMemorySource(source, []), near),
      restore(guestMemoryDestination(destination), far),
    ])
    expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0)
    const sink = new RecordingSink()
    await save(guestMemorySource(source, []), sink)
    expect((await verify(new RecordingSource(sink.bytes))).header.deviceType).toBe('guest-memory')
  })

  test('of other ranges is refused before memory is touched', async () => {
    const sink = new RecordingSink()
    await save(guestMemorySource(new TestMemory().fill(), []), sink)
    const other = new TestMemory([RANGES[0]!])
    expect(await codeOf(() => restore(guestMemoryDestination(other), new RecordingSource(sink.bytes)))).toBe(
      'EINVAL',
    )
    expect(other.bytes.every((byte) => byte === 0)).toBe(true)
  })

  test('names runs of zero pages instead of sending them, 256 KiB of pages to a record', async () => {
    const memory = new TestMemory()
    memory.at(FIRST + 5n * 4096n, 2 * PAGE).fill(1)
    memory.at(FIRST + 63n * 4096n + 4095n, 1).fill(1)
    expect(recordsOf(await stoppedStream(memory))).toEqual([
      { iova: FIRST, pages: 5, kind: 2 },
      { iova: FIRST + 5n * 4096n, pages: 2, kind: 1 },
      { iova: FIRST + 7n * 4096n, pages: 56, kind: 2 },
      { iova: FIRST + 63n * 4096n, pages: 1, kind: 1 },
      { iova: FIRST + 64n * 4096n, pages: 36, kind: 2 },
      { iova: RANGES[1]!.iova, pages: 30, kind: 2 },
    ])
  })

  test('is read and written in pieces of any size', async () => {
    const source = new TestMemory([{ iova: 0n, length: 8192n }]).fill()
    const session = await guestMemorySource(source, []).setState(DeviceState.STOP_COPY)
    const stream = await drain(session as MigrationSession, 7)
    const destination = new TestMemory([{ iova: 0n, length: 8192n }])
    const to = await resuming(destination)
    for (let at = 0; at < stream.length; at += 13) await to.session.write(stream.subarray(at, at + 13))
    await to.device.setState(DeviceState.RUNNING)
    expect(Buffer.compare(destination.bytes, source.bytes)).toBe(0)
  })

  test('tells how much is left, and nothing more at the end', async () => {
    const memory = new TestMemory().fill()
    const device = guestMemorySource(memory, [])
    expect(await device.stopCopyLength?.()).toBe(130 * PAGE)
    const session = (await device.setState(DeviceState.STOP_COPY)) as MigrationSession
    await session.read(new Uint8Array(RECORD_HEADER_BYTES + 64 * PAGE))
    expect(await device.stopCopyLength?.()).toBe(66 * PAGE)
    await drain(session)
    expect(await session.read(new Uint8Array(10))).toBe(0)
    expect(await device.stopCopyLength?.()).toBe(0)
  })

  test('keeps a session to its rules: direction, end, views', async () => {
    const device = guestMemorySource(new TestMemory(), [])
    const session = (await device.setState(DeviceState.STOP_COPY)) as MigrationSession
    expect(await codeOf(() => session.write(new Uint8Array(1)))).toBe('EBADF')
    expect(await codeOf(() => session.lease(10))).toBe('EOPNOTSUPP')
    expect(await codeOf(() => session.precopyInfo())).toBe('EINVAL')
    await device.setState(DeviceState.STOP)
    expect(session.ended.aborted).toBe(true)
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
    await session.close()
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('EBADF')
    const to = await resuming(new TestMemory())
    expect(await codeOf(() => to.session.read(new Uint8Array(1)))).toBe('EBADF')
    expect(await codeOf(() => to.session.window(10))).toBe('EOPNOTSUPP')
    await to.device.reset()
    expect(await codeOf(() => to.session.write(new Uint8Array(1)))).toBe('ENODEV')
    expect(await codeOf(() => device.dmaLoggingStop())).toBe('ENOTTY')
  })

  test('has one direction only', async () => {
    expect(await codeOf(() => guestMemorySource(new TestMemory(), []).setState(DeviceState.RESUMING))).toBe(
      'EOPNOTSUPP',
    )
    const destination = guestMemoryDestination(new TestMemory())
    for (const target of [DeviceState.STOP_COPY, DeviceState.PRE_COPY]) {
      expect(await codeOf(() => destination.setState(target))).toBe('EOPNOTSUPP')
    }
  })

  test('sends a page again that could not be read', async () => {
    const memory = new TestMemory().fill()
    const device = guestMemorySource(memory, [])
    const session = (await device.setState(DeviceState.STOP_COPY)) as MigrationSession
    memory.onAccess = () => {
      memory.onAccess = () => {}
      throw new TypeError('not mapped')
    }
    expect(await codeOf(() => session.read(new Uint8Array(100)))).toBe('EIO')
    expect(recordsOf(await drain(session)).reduce((sum, { pages }) => sum + pages, 0)).toBe(130)
  })

  test('that is reset while it is read ends with ENODEV', async () => {
    const memory = new TestMemory().fill()
    const gate = deferred()
    memory.onAccess = () => gate.promise
    const device = guestMemorySource(memory, [])
    const session = (await device.setState(DeviceState.STOP_COPY)) as MigrationSession
    const reading = codeOf(() => session.read(new Uint8Array(100)))
    await device.reset()
    gate.resolve()
    expect(await reading).toBe('ENODEV')
  })
})

describe('a stream of guest memory', () => {
  const page = new Uint8Array(PAGE).fill(7)

  test.each([
    ['an unknown kind', record(FIRST, PAGE, 3), 'EPROTO'],
    ['kind 0', record(FIRST, PAGE, 0), 'EPROTO'],
    ['no length', record(FIRST, 0, 1), 'EPROTO'],
    ['a length above 256 KiB', record(FIRST, 65 * PAGE, 2), 'EPROTO'],
    ['the longest length there is', record(FIRST, 0xffff_f000, 1), 'EPROTO'],
    ['half a page', record(FIRST, PAGE / 2, 1), 'EPROTO'],
    ['an address inside a page', record(FIRST + 512n, PAGE, 1), 'EPROTO'],
    ['an address before the ranges', record(FIRST - 4096n, PAGE, 1), 'EINVAL'],
    ['an address behind the ranges', record(FIRST + RANGES[0]!.length, PAGE, 2), 'EINVAL'],
    ['pages past the end of a range', record(FIRST + 99n * 4096n, 2 * PAGE, 2), 'EINVAL'],
    ['the last address there is', record(0xffff_ffff_ffff_f000n, PAGE, 2), 'EINVAL'],
  ])('with %s is refused for good, and memory sees nothing', async (_, bytes, code) => {
    const memory = new TestMemory()
    const { device, session } = await resuming(memory)
    expect(await codeOf(() => session.write(bytes))).toBe(code)
    expect(await codeOf(() => session.write(record(FIRST, PAGE, 1, page)))).toBe(code)
    expect(await codeOf(() => device.setState(DeviceState.STOP))).toBe('EINVAL')
    expect(memory.bytes.every((byte) => byte === 0)).toBe(true)
    await device.reset()
    expect(await device.state()).toBe(DeviceState.RUNNING)
  })

  test('that lacks a page is EINVAL at the end, and can be completed', async () => {
    const source = new TestMemory().fill()
    const stream = await stoppedStream(source)
    const memory = new TestMemory()
    const { device, session } = await resuming(memory)
    expect(await codeOf(() => device.setState(DeviceState.STOP))).toBe('EINVAL')
    await session.write(stream.subarray(0, -1))
    expect(await codeOf(() => device.setState(DeviceState.STOP))).toBe('EINVAL')
    await session.write(stream.subarray(-1))
    await session.write(record(FIRST, PAGE, 1).subarray(0, 3))
    expect(await codeOf(() => device.setState(DeviceState.STOP))).toBe('EINVAL')
    await session.write(record(FIRST, PAGE, 1, page).subarray(3))
    expect(await codeOf(() => device.setState(DeviceState.STOP))).toBe('ok')
    source.at(FIRST, PAGE).fill(7)
    expect(Buffer.compare(memory.bytes, source.bytes)).toBe(0)
  })

  test('for memory that cannot be written is EIO for good', async () => {
    const memory = new TestMemory()
    memory.onAccess = () => {
      throw new TypeError('read-only')
    }
    const { device, session } = await resuming(memory)
    expect(await codeOf(() => session.write(record(FIRST, PAGE, 2)))).toBe('EIO')
    memory.onAccess = () => {}
    expect(await codeOf(() => session.write(record(FIRST, PAGE, 2)))).toBe('EIO')
    expect(await codeOf(() => device.setState(DeviceState.STOP))).toBe('EINVAL')
  })
})
