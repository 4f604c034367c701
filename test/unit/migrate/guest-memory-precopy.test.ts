/** Guest memory in PRE_COPY: what devices and the VMM write meanwhile comes again. @module */

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { DirtyLog } from '../../../src/device/dirty-log.ts'
import type { DirtyLogOps, DmaRange } from '../../../src/device/driver.ts'
import type { MigrationDevice } from '../../../src/device/migration-device.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { BulkRegister, createBulk, DescriptorOp } from '../../../src/devices/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { guestMemoryDestination, guestMemorySource } from '../../../src/migrate/guest-memory.ts'
import type { MigrationSession } from '../../../src/session/migration-session.ts'
import { POLLHUP, POLLIN } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import {
  drain,
  loggingDevice,
  PAGE,
  pagesOf,
  RANGES,
  silentDevice,
  TestMemory,
} from '../../support/guest-memory.ts'
import { codeOf, deferred } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

const FIRST = RANGES[0]!.iova
const SECOND = RANGES[1]!.iova
const TOTAL = 130
const { PRE_COPY, PRE_COPY_P2P, RUNNING, STOP_COPY, STOP } = DeviceState

async function precopy(device: MigrationDevice): Promise<MigrationSession> {
  return (await device.setState(PRE_COPY)) as MigrationSession
}

/** A log that does what a test says. */
class TestLog implements DirtyLogOps {
  readonly calls: string[] = []
  used: bigint | undefined
  failing = false
  dirty: DmaRange[] = []

  start(_: readonly DmaRange[], pageSize: bigint): bigint {
    this.calls.push('start')
    if (this.failing) throw new VfioError('EIO', 'Cannot start: the tracker is broken')
    return this.used ?? pageSize
  }

  stop(): void {
    this.calls.push('stop')
  }

  report(_: DmaRange, mark: (dirty: DmaRange) => void): void {
    this.calls.push('report')
    if (this.failing) throw new VfioError('EIO', 'Cannot report: the tracker is broken')
    for (const range of this.dirty) mark(range)
  }
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

async function deviceWith(dirtyLog: DirtyLogOps): Promise<MigrationDevice> {
  return VfioDevice.open(new ScriptedDriver({ dirtyLog }))
}

describe('guest memory in PRE_COPY', () => {
  test('comes once, then only what was written since, then ENOMSG, then 0 after the stop', async () => {
    const { device, log } = await loggingDevice()
    const source = guestMemorySource(new TestMemory().fill(), [device])
    const session = await precopy(source)
    expect(pagesOf(await drain(session))).toHaveLength(TOTAL)
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENOMSG')
    log.mark(FIRST + 4096n, 1)
    log.mark(SECOND, 2 * PAGE)
    expect(pagesOf(await drain(session))).toEqual([FIRST + 4096n, SECOND, SECOND + 4096n])
    await source.setState(PRE_COPY_P2P)
    log.mark(FIRST, 1)
    await source.setState(STOP_COPY)
    expect(pagesOf(await drain(session))).toEqual([FIRST])
    expect(await session.read(new Uint8Array(1))).toBe(0)
  })

  test('unites the logs of all devices and of the VMM', async () => {
    const one = await loggingDevice()
    const two = await loggingDevice()
    let own: number[] = []
    const memory = Object.assign(new TestMemory().fill(), {
      dirty(range: { iova: bigint }, bitmap: Uint8Array) {
        if (range.iova !== FIRST) return
        for (const page of own) bitmap[page >> 3]! |= 1 << (page & 7)
        own = []
      },
    })
    const session = await precopy(guestMemorySource(memory, [one.device, two.device]))
    await drain(session)
    own = [7, 99]
    one.log.mark(FIRST + 8n * 4096n, PAGE)
    two.log.mark(FIRST + 8n * 4096n, PAGE)
    two.log.mark(SECOND + 29n * 4096n, PAGE)
    expect(pagesOf(await drain(session))).toEqual([
      FIRST + 7n * 4096n,
      FIRST + 8n * 4096n,
      FIRST + 99n * 4096n,
      SECOND + 29n * 4096n,
    ])
    expect(own).toEqual([])
  })

  test('has every log on before the first page is read, with all ranges in one call', async () => {
    const memory = new TestMemory().fill()
    const { device, log } = await loggingDevice()
    const starts: unknown[] = []
    const gate = deferred()
    const slow = new Proxy(device, {
      get(target, name) {
        if (name !== 'dmaLoggingStart')
          return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)
        return async (options: Parameters<MigrationDevice['dmaLoggingStart']>[0]) => {
          starts.push(options)
          await gate.promise
          return target.dmaLoggingStart(options)
        }
      },
    })
    let startedAtFirstRead: boolean | undefined
    memory.onAccess = () => {
      startedAtFirstRead ??= log.started
    }
    const opening = precopy(guestMemorySource(memory, [slow]))
    gate.resolve()
    await drain(await opening)
    expect(startedAtFirstRead).toBe(true)
    expect(starts).toEqual([{ pageSize: PAGE, ranges: RANGES }])
  })

  test('counts the first pass as initial bytes and what comes later as dirty bytes', async () => {
    const { device, log } = await loggingDevice()
    const source = guestMemorySource(new TestMemory().fill(), [device])
    const session = await precopy(source)
    const info = async () => {
      const { initialBytes, dirtyBytes } = await session.precopyInfo()
      return [initialBytes / PAGE, dirtyBytes / PAGE]
    }
    expect(await info()).toEqual([TOTAL, 0])
    await session.read(new Uint8Array(16 + 64 * PAGE))
    expect(await info()).toEqual([TOTAL - 64, 0])
    log.mark(FIRST, 3 * PAGE) // read already
    log.mark(SECOND, 3 * PAGE) // not read yet
    await drain(session, 16 + 36 * PAGE)
    expect(await info()).toEqual([0, 0])
    log.mark(FIRST, 5 * PAGE)
    expect(await info()).toEqual([0, 5])
    expect(await source.stopCopyLength?.()).toBe(5 * PAGE)
  })

  test('refreshes its counters while the first pass goes on', async () => {
    const { device, log } = await loggingDevice()
    const range = { iova: 0n, length: 1024n * 4096n }
    const session = await precopy(guestMemorySource(new TestMemory([range]).fill(), [device]))
    const buffer = new Uint8Array(300_000)
    for (let read = 0; read < 1_500_000;) read += await session.read(buffer)
    log.mark(0n, 10 * PAGE)
    const { initialBytes, dirtyBytes } = await session.precopyInfo()
    expect(dirtyBytes).toBe(10 * PAGE)
    expect(initialBytes).toBeGreaterThan(2_000_000)
  })

  test('sends a page again that was written while it was read', async () => {
    const { device, log } = await loggingDevice()
    const memory = new TestMemory().fill()
    const session = await precopy(guestMemorySource(memory, [device]))
    memory.onAccess = (_, iova) => {
      if (iova !== SECOND) return
      memory.onAccess = () => {}
      log.mark(SECOND + 4096n, 1)
    }
    expect(pagesOf(await drain(session)).filter((iova) => iova === SECOND + 4096n)).toHaveLength(2)
  })

  test('sends everything again at the stop beside a device without DMA logging, and says so', async () => {
    const { device, log } = await loggingDevice()
    const source = guestMemorySource(new TestMemory().fill(), [await silentDevice(), device])
    const session = await precopy(source)
    expect(pagesOf(await drain(session))).toHaveLength(TOTAL)
    log.mark(FIRST, 1)
    expect(pagesOf(await drain(session))).toEqual([FIRST])
    expect(await source.stopCopyLength?.()).toBe(TOTAL * PAGE)
    await source.setState(STOP_COPY)
    expect(pagesOf(await drain(session))).toHaveLength(TOTAL)
  })

  test('stays out of PRE_COPY when a log does not start, and stops the others', async () => {
    const good = new TestLog()
    const bad = new TestLog()
    bad.failing = true
    const source = guestMemorySource(new TestMemory(), [await deviceWith(good), await deviceWith(bad)])
    expect(await codeOf(() => source.setState(PRE_COPY))).toBe('EIO')
    expect(await source.state()).toBe(RUNNING)
    expect([good.calls, bad.calls]).toEqual([['start', 'stop'], ['start']])
  })

  test.each([0, 5000, Number.NaN])(
    'refuses a device that says it logs by pages of %s bytes',
    async (used) => {
      const log = new TestLog()
      const device = await deviceWith(log)
      device.dmaLoggingStart = async () => used
      expect(await codeOf(() => guestMemorySource(new TestMemory(), [device]).setState(PRE_COPY))).toBe('EIO')
      expect(log.calls).toEqual(['stop'])
    },
  )

  test('takes all of a larger page for dirty, inside its range', async () => {
    const log = new TestLog()
    log.used = 65_536n
    const session = await precopy(guestMemorySource(new TestMemory().fill(), [await deviceWith(log)]))
    await drain(session)
    log.dirty = [{ iova: FIRST + 96n * 4096n, length: 65_536n }]
    const buffer = new Uint8Array(16 + 4 * PAGE)
    expect(await session.read(buffer)).toBe(buffer.length)
    log.dirty = []
    expect(pagesOf(buffer)).toEqual([96n, 97n, 98n, 99n].map((page) => FIRST + page * 4096n))
    expect(await codeOf(() => session.read(buffer))).toBe('ENOMSG')
  })

  test('takes everything for dirty after a report that failed', async () => {
    const log = new TestLog()
    const session = await precopy(guestMemorySource(new TestMemory().fill(), [await deviceWith(log)]))
    await session.read(new Uint8Array(16 + 64 * PAGE))
    await drain(session)
    log.failing = true
    const buffer = new Uint8Array(16)
    expect(await session.read(buffer)).toBe(16)
    log.failing = false
    await drain(session)
    expect(await codeOf(() => session.read(buffer))).toBe('ENOMSG')
  })

  test('asks a log that stays broken no more, and sends everything at the stop', async () => {
    const log = new TestLog()
    const source = guestMemorySource(new TestMemory().fill(), [await deviceWith(log)])
    const session = await precopy(source)
    log.failing = true
    expect(pagesOf(await drain(session))).toHaveLength(3 * TOTAL)
    expect(await source.stopCopyLength?.()).toBe(TOTAL * PAGE)
    await source.setState(STOP_COPY)
    expect(pagesOf(await drain(session))).toHaveLength(TOTAL)
  })

  test('takes everything for dirty when the last report fails', async () => {
    const log = new TestLog()
    const source = guestMemorySource(new TestMemory().fill(), [await deviceWith(log)])
    const session = await precopy(source)
    await drain(session)
    log.failing = true
    await source.setState(STOP_COPY)
    expect(pagesOf(await drain(session))).toHaveLength(TOTAL)
  })

  test('takes everything for dirty when the VMM cannot tell what it wrote', async () => {
    let calls = 0
    const memory = Object.assign(new TestMemory().fill(), {
      dirty() {
        if (calls++ === 0) throw new TypeError('KVM said no')
      },
    })
    const session = await precopy(guestMemorySource(memory, []))
    expect(pagesOf(await drain(session))).toHaveLength(2 * TOTAL)
  })

  test.each([
    ['back to RUNNING', async (source: MigrationDevice) => void (await source.setState(RUNNING))],
    [
      'through STOP_COPY to STOP',
      async (source: MigrationDevice) => {
        await source.setState(STOP_COPY)
        await source.setState(STOP)
      },
    ],
    ['reset', (source: MigrationDevice) => source.reset()],
    ['close', (source: MigrationDevice) => source.close()],
  ])('stops all logs on its way out: %s', async (_, leave) => {
    const logs = [new TestLog(), new TestLog()]
    const devices = await Promise.all(logs.map(deviceWith))
    // One that is gone does not keep the others logging.
    devices[0]!.dmaLoggingStop = () => Promise.reject(new Error('gone'))
    const source = guestMemorySource(new TestMemory(), devices)
    const session = await precopy(source)
    await leave(source)
    expect(logs[1]!.calls.filter((call) => call === 'stop')).toHaveLength(1)
    expect(session.ended.aborted).toBe(true)
    expect(await codeOf(() => session.read(new Uint8Array(1)))).toBe('ENODEV')
  })

  test('can be left while memory does not answer, and entered again', async () => {
    const memory = new TestMemory().fill()
    const { device, log } = await loggingDevice()
    const source = guestMemorySource(memory, [device])
    const session = await precopy(source)
    const gate = deferred()
    memory.onAccess = () => gate.promise
    const reading = codeOf(() => session.read(new Uint8Array(1)))
    await source.setState(RUNNING)
    expect(log.started).toBe(false)
    memory.onAccess = () => {}
    const again = await precopy(source)
    gate.resolve()
    expect(await reading).toBe('ENODEV')
    log.mark(SECOND, 1)
    expect(pagesOf(await drain(again))).toHaveLength(TOTAL + 1)
  })

  test('can be tried again after it was left', async () => {
    const { device, log } = await loggingDevice()
    const source = guestMemorySource(new TestMemory().fill(), [device])
    await precopy(source)
    await source.setState(RUNNING)
    expect(log.started).toBe(false)
    const session = await precopy(source)
    expect(log.started).toBe(true)
    expect(pagesOf(await drain(session))).toHaveLength(TOTAL)
  })

  test('wakes who waits after ENOMSG: on a page, on the stop, on the end', async () => {
    const { device, log } = await loggingDevice()
    const source = guestMemorySource(new TestMemory().fill(), [device])
    const session = await precopy(source)
    expect(await session.ready(POLLIN)).toBe(POLLIN)
    await drain(session)
    const forPage = session.ready(POLLIN)
    log.mark(FIRST, 1)
    expect(await forPage).toBe(POLLIN)
    await drain(session)
    const forStop = session.ready(POLLIN)
    await source.setState(STOP_COPY)
    expect(await forStop).toBe(POLLIN)
    const other = await precopy(guestMemorySource(new TestMemory(), []))
    await drain(other)
    const aborting = new AbortController()
    const waiting = other.ready(POLLIN, { signal: aborting.signal })
    aborting.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
    const third = guestMemorySource(new TestMemory(), [])
    const last = await precopy(third)
    await drain(last)
    const forEnd = last.ready(POLLIN)
    await third.setState(RUNNING)
    expect((await forEnd) & POLLHUP).toBe(POLLHUP)
  })

  test('follows the DMA of a bulk device', async () => {
    const memory = new TestMemory()
    const done = deferred()
    const driver = createBulk({
      memoryBytes: 65_536,
      seed: 5,
      hostMemory: {
        read: (iova, dst) => dst.set(memory.at(iova, dst.length)),
        write: (iova, src) => memory.at(iova, src.length).set(src),
      },
      onInterrupt: () => done.resolve(),
    })
    const device = await VfioDevice.open(driver)
    const source = guestMemorySource(memory, [device])
    const session = await precopy(source)
    await drain(session)
    const descriptor = new DataView(new ArrayBuffer(32))
    descriptor.setUint32(0, DescriptorOp.TO_HOST, true)
    descriptor.setBigUint64(8, SECOND + 4000n, true)
    descriptor.setBigUint64(24, 200n, true)
    device.regions!.write(1, 0, new Uint8Array(descriptor.buffer))
    device.regions!.write(0, BulkRegister.CONTROL, word(2))
    device.regions!.write(0, BulkRegister.RING_TAIL, word(1))
    await done.promise
    await device.setState(STOP)
    await source.setState(STOP_COPY)
    expect(pagesOf(await drain(session))).toEqual([SECOND, SECOND + 4096n])
    await device.close()
  })

  test('arrives whole whoever writes it whenever, also during reads and between any two calls', async () => {
    const ranges = [
      { iova: 0x1000n, length: 20n * 4096n },
      { iova: 0x40_0000n, length: 70n * 4096n },
    ]
    const action = fc.record({
      kind: fc.constantFrom('write', 'write during read', 'read', 'drain', 'info'),
      page: fc.nat(89),
      value: fc.nat(3),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const memory = new TestMemory(ranges).fill()
        const log = new DirtyLog()
        const source = guestMemorySource(memory, [
          await VfioDevice.open(new ScriptedDriver({ dirtyLog: log })),
        ])
        const destination = new TestMemory(ranges)
        const loading = guestMemoryDestination(destination)
        const to = (await loading.setState(DeviceState.RESUMING)) as MigrationSession
        const from = await precopy(source)
        const write = (page: number, value: number): void => {
          const iova = page < 20 ? 0x1000n + BigInt(page * PAGE) : 0x40_0000n + BigInt((page - 20) * PAGE)
          memory.at(iova, PAGE).fill(value)
          log.mark(iova, PAGE)
        }
        const buffer = new Uint8Array(30_000)
        for (const { kind, page, value } of actions) {
          if (kind === 'write') write(page, value)
          if (kind === 'drain') await to.write(await drain(from))
          if (kind === 'info') await from.precopyInfo()
          if (kind === 'read') {
            const byteLength = await Promise.resolve(from.read(buffer)).catch(() => 0)
            await to.write(buffer.subarray(0, byteLength))
          }
          if (kind === 'write during read') {
            memory.onAccess = async (access) => {
              await Promise.resolve()
              if (access === 'read') write(page, value)
              memory.onAccess = () => {}
            }
          }
        }
        memory.onAccess = () => {}
        await source.setState(STOP_COPY)
        await to.write(await drain(from))
        await loading.setState(DeviceState.STOP)
        expect(Buffer.compare(destination.bytes, memory.bytes)).toBe(0)
      }),
    )
  })
})
