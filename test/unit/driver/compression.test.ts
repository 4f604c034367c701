import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { type Compression, defineDevice, u32 } from '../../../src/driver/index.ts'
import { createEngine } from '../../../src/engine/index.ts'
import type { DataSession } from '../../../src/session/data-session.ts'
import { DeviceState, POLLIN } from '../../../src/uapi/index.ts'
import { readIndependently } from '../../support/independent-reader.ts'
import { codeOf } from '../../support/pending.ts'
import { concat, TAG, takeApart } from '../../support/stream-builder.ts'
import { drain, restoreOpen, save, testEngine } from './session-io.ts'

const { STOP, RUNNING, STOP_COPY, PRE_COPY } = DeviceState
const PAGE = 4096

const define = (byteLength: number, compression: Compression = 'lz4', engine = testEngine) =>
  defineDevice({
    type: 'compressing',
    version: 1,
    engine,
    compression,
    state: { n: u32() },
    memory: { m: { byteLength } },
  })

/** The same numbers on every run (xorshift). */
function noise(byteLength: number, seed = 1): Uint8Array<ArrayBuffer> {
  let x = seed
  return Uint8Array.from({ length: byteLength }, () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 8
  })
}

const text = (byteLength: number): Uint8Array =>
  Uint8Array.from({ length: byteLength }, (_, i) => 32 + ((i * 31 + (i >> 7)) % 64))
const CONTENTS: Readonly<Record<string, (byteLength: number) => Uint8Array>> = {
  zeros: (byteLength) => new Uint8Array(byteLength),
  text,
  noise,
  mixed(byteLength) {
    const bytes = noise(byteLength)
    // Zero pages, then text or more noise.
    for (let at = 0; at < byteLength; at += 5 * PAGE) {
      bytes.fill(0, at, at + 2 * PAGE)
      if (at % (10 * PAGE) === 0 && at + 3 * PAGE <= byteLength) bytes.set(text(PAGE), at + 2 * PAGE)
    }
    return bytes
  },
}

/** Payload bytes of a stream's sections of a tag. */
function bytesOf(stream: Uint8Array, tag: number): number {
  const payloads = takeApart(stream).sections.filter((section) => section.tag === tag)
  return payloads.reduce((total, { payload }) => total + payload.length, 0)
}

describe.each(Object.keys(CONTENTS))('memory of %s', (content) => {
  it.each([0, 1, 4095, 4096, 4097, 300_000, 1024 * 1024 + 3])(
    'of %i bytes arrives, in a stream no longer than without compression',
    async (byteLength) => {
      const before = testEngine.allocatedBytes
      const bytes = (CONTENTS[content] as (byteLength: number) => Uint8Array)(byteLength)
      const plainSource = define(byteLength, 'none')
      const plain = await save(plainSource, () => plainSource.memory.m.write(0, bytes))
      const source = define(byteLength)
      const stream = await save(source, () => source.memory.m.write(0, bytes))
      expect(stream.length).toBeLessThanOrEqual(plain.length)
      if (content === 'text' && byteLength > PAGE) expect(stream.length).toBeLessThan(plain.length / 2)
      if (content === 'noise' || content === 'zeros') expect(bytesOf(stream, TAG.PAGES_LZ4)).toBe(0)
      // Whoever loads it need not compress.
      for (const compression of ['none', 'lz4'] as const) {
        const target = define(byteLength, compression)
        const device = await VfioDevice.open(target)
        await restoreOpen(device, stream)
        expect(Buffer.compare(target.memory.m.bytes, bytes)).toBe(0)
        await device.close()
      }
      const [region] = readIndependently(stream).regions
      expect(Buffer.compare(region?.bytes as Uint8Array, bytes)).toBe(0)
      expect(testEngine.allocatedBytes).toBe(before)
    },
  )
})

it('in every engine the stream is the same', async () => {
  const streams: Uint8Array[] = []
  for (const variant of ['simd', 'baseline', 'reference'] as const) {
    const source = define(200_000, 'lz4', await createEngine({ variant, memoryBytes: 4 << 20 }))
    streams.push(
      await save(source, () => source.memory.m.write(0, CONTENTS['mixed']?.(200_000) as Uint8Array)),
    )
  }
  const [simd, baseline, reference] = streams as [Uint8Array, Uint8Array, Uint8Array]
  expect(bytesOf(simd, TAG.PAGES_LZ4)).toBeGreaterThan(0)
  expect(bytesOf(simd, TAG.PAGES)).toBeGreaterThan(0)
  expect(Buffer.compare(simd, baseline)).toBe(0)
  expect(Buffer.compare(simd, reference)).toBe(0)
})

it('a run that does not save an eighth goes as it is', async () => {
  const source = define(2 * PAGE)
  for (const [repeatedBytes, tag] of [
    [PAGE / 2, TAG.PAGES_LZ4],
    [PAGE / 16, TAG.PAGES],
  ] as const) {
    const bytes = noise(2 * PAGE)
    for (const at of [0, PAGE]) bytes.fill(5, at, at + repeatedBytes)
    const stream = await save(source, () => source.memory.m.write(0, bytes))
    expect(takeApart(stream).sections.map((section) => section.tag)).toEqual([TAG.CONFIG, tag, TAG.STATE])
  }
})

it('pages written in PRE_COPY come again, and the last word arrives', async () => {
  const byteLength = 700_001
  const source = define(byteLength)
  const device = await VfioDevice.open(source)
  source.memory.m.write(0, text(byteLength))
  const session = (await device.setState(PRE_COPY)) as DataSession
  const first = new Uint8Array(100_000)
  const chunks: Uint8Array[] = [first.subarray(0, session.read(first))]
  // Behind the cursor, within the frame that is being read, and ahead of it.
  for (const at of [3, 90_000, 699_000]) source.memory.m.write(at, noise(900, at))
  chunks.push(drain(session))
  for (let page = 0; page < 170; page += 3) source.memory.m.write(page * PAGE + 5, text(50))
  chunks.push(drain(session))
  source.memory.m.write(1000, noise(200_000, 7))
  await device.setState(STOP_COPY)
  chunks.push(drain(session))
  const target = define(byteLength, 'none')
  const restored = await VfioDevice.open(target)
  await restoreOpen(restored, concat(chunks))
  expect(Buffer.compare(target.memory.m.bytes, source.memory.m.bytes)).toBe(0)
  await device.close()
  await restored.close()
})

it('what is leased stays as it was; all frames out is EAGAIN until one comes back, in STOP_COPY too', async () => {
  for (const state of [PRE_COPY, STOP_COPY]) {
    const before = testEngine.allocatedBytes
    const byteLength = 4 << 20
    const source = define(byteLength)
    const device = await VfioDevice.open(source)
    source.memory.m.write(0, CONTENTS['mixed']?.(byteLength) as Uint8Array)
    const session = (await device.setState(state)) as DataSession
    const kept: [lease: Uint8Array, copy: Uint8Array][] = []
    const chunks: Uint8Array[] = []
    const take = (): void => {
      const lease = session.lease(1 << 20)
      kept.push([lease, lease.slice()])
      chunks.push(lease.slice())
    }
    expect(
      await codeOf(() => {
        for (;;) take()
      }),
    ).toBe('EAGAIN')
    expect(await codeOf(() => session.read(new Uint8Array(9)))).toBe('EBUSY')
    expect(session.poll() & POLLIN).toBe(0)
    const ready = session.ready(POLLIN)
    for (const [lease, copy] of kept) expect(Buffer.compare(lease, copy)).toBe(0)
    const frames = kept.length
    while (kept.length > 0) {
      kept.shift()
      session.release()
    }
    expect(frames).toBeGreaterThan(8)
    expect((await ready) & POLLIN).toBe(POLLIN)
    if (state === PRE_COPY) {
      source.memory.m.write(9, noise(9000))
      await device.setState(STOP_COPY)
    }
    for (;;) {
      const lease = session.lease(1 << 20)
      if (lease.length === 0) break
      chunks.push(lease.slice())
      session.release()
    }
    const [region] = readIndependently(concat(chunks)).regions
    expect(Buffer.compare(region?.bytes as Uint8Array, source.memory.m.bytes)).toBe(0)
    await device.setState(STOP)
    await device.close()
    expect(testEngine.allocatedBytes).toBe(before)
  }
})

it('the stop-copy length is what the stream would have without compression', async () => {
  const lengths: number[] = []
  for (const compression of ['none', 'lz4'] as const) {
    const source = define(100 * PAGE + 5, compression)
    const device = await VfioDevice.open(source)
    source.memory.m.write(3 * PAGE, text(40 * PAGE))
    lengths.push(await device.stopCopyLength())
    await device.setState(PRE_COPY)
    lengths.push(await device.stopCopyLength())
    await device.setState(STOP_COPY)
    await device.setState(RUNNING)
    await device.close()
  }
  expect(new Set(lengths).size).toBe(1)
})

it('is no part of the configuration', () => {
  expect(define(PAGE, 'lz4').identity).toEqual(define(PAGE, 'none').identity)
})

it('a compression that is none is refused', () => {
  expect(() => define(PAGE, 'zip' as never)).toThrow(
    'Cannot define device "compressing": compression "zip" is unknown, use one of none, lz4',
  )
})
