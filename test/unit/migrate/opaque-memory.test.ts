import { expect, it } from 'vitest'
import { defaultEngine } from '../../../src/engine/index.ts'
import { OpaqueWriter } from '../../../src/format/index.ts'
import { OpaqueLeases } from '../../../src/migrate/opaque-leases.ts'
import { OpaqueWindows } from '../../../src/migrate/opaque-windows.ts'
import type { MigrationSession } from '../../../src/session/migration-session.ts'
import { concat } from '../../support/stream-builder.ts'

const identity = { type: 'mtty', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' } as const

/** A session of another process: every call is answered later. */
function remote(call: (bytes: Uint8Array) => Promise<number>): MigrationSession {
  return { read: call, write: call, ready: () => Promise.resolve(1) } as unknown as MigrationSession
}

/** A stream with 60 bytes of the device's own. */
async function wrapped(): Promise<Uint8Array> {
  const writer = await OpaqueWriter.open({ ...identity, configuration: {} })
  const opening = writer.begin().map((bytes) => bytes.slice())
  writer.frame.fill(7, 0, 60)
  const stream = concat([...opening, ...writer.section(60), writer.end()])
  writer.dispose()
  return stream
}

it('the frame of a save is freed when the session reads nothing into it any more', async () => {
  const engine = await defaultEngine()
  const before = engine.allocatedBytes
  const leases = await OpaqueLeases.open(identity)
  let answer!: (byteLength: number) => void
  leases.attach(remote(() => new Promise((resolve) => (answer = resolve))))
  for (let opening = 0; opening < 3; opening++) await leases.lease(1000)
  for (let opening = 0; opening < 3; opening++) leases.release()
  const reading = leases.lease(1000)
  leases.dispose()
  expect(engine.allocatedBytes).toBeGreaterThan(before)
  answer(100)
  // Nothing was made of what came.
  expect((await reading).length).toBe(0)
  expect(engine.allocatedBytes).toBe(before)
})

it('a payload on its way to the device is freed when the device has taken it, and no more of it is sent', async () => {
  const engine = await defaultEngine()
  const stream = await wrapped()
  const before = engine.allocatedBytes
  const windows = await OpaqueWindows.open(identity)
  const answers: ((byteLength: number) => void)[] = []
  windows.attach(remote(() => new Promise((resolve) => answers.push(resolve))))
  let writing: Promise<void> | undefined
  for (let at = 0; writing === undefined;) {
    const window = windows.window(stream.length - at)
    window.set(stream.subarray(at, at + window.length))
    at += window.length
    writing = windows.commit(window.length) ?? undefined
  }
  windows.dispose()
  expect(engine.allocatedBytes).toBeGreaterThan(before)
  answers[0]?.(1)
  await writing
  expect(answers).toHaveLength(1)
  expect(engine.allocatedBytes).toBe(before)
})
