/**
 * The devices behind the golden files. A golden file is never changed for a version that was released:
 * when a test here fails, the format changed, and needs a new version.
 *
 * @module
 */

import type { Driver } from '../../src/device/driver.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import {
  array,
  blob,
  bool,
  type Compression,
  defineDevice,
  i16,
  nested,
  repeated,
  ring,
  u32,
  u64,
  u8,
} from '../../src/driver/index.ts'
import { OpaqueWriter } from '../../src/format/index.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { concat } from '../support/stream-builder.ts'

/** One register: the stream that the specification shows byte by byte. */
export const tickDevice = () =>
  defineDevice({
    type: 'tick',
    version: 1,
    state: { ticks: u32() },
    resume: ({ state }) => void (state.ticks = 0x01020304),
  })

/** Registers of every kind, no memory. */
export const registerDevice = () =>
  defineDevice({
    type: 'golden-registers',
    version: 3,
    configuration: { ports: 2, turbo: true, label: 'größe', huge: 2n ** 63n },
    state: {
      enabled: bool({ default: true }),
      divisor: u32({ default: 12, min: 1 }),
      base: u64({ default: 0xfedc_ba98_7654_3210n }),
      offset: i16({ default: -2 }),
      table: array(u8({ default: 7 }), 5),
      fifo: ring(u8(), 4),
      raw: blob(3),
      clock: nested({ low: u32({ default: 1 }), high: u8({ default: 2 }) }),
      channel: repeated(2, { count: u8({ default: 9 }) }),
      late: u8({ since: 3, default: 5 }),
    },
    resume({ state }) {
      state.fifo.clear()
      for (const value of [1, 2, 3]) state.fifo.push(value)
      state.fifo.shift()
      state.raw.set([0xaa, 0xbb, 0xcc])
    },
  })

/** Two regions: zero runs at both ends and in the middle, an odd last page, an empty region. */
export const memoryDevice = (checksum: 'xxh3' | 'crc32c', compression: Compression = 'none') =>
  defineDevice({
    type: 'golden-memory',
    version: 1,
    checksum,
    compression,
    state: { cursor: u32() },
    memory: { ram: { byteLength: 9 * 4096 }, none: { byteLength: 0 }, rom: { byteLength: 4096 + 100 } },
    resume({ state, memory }) {
      state.cursor = 5
      memory.ram.write(2 * 4096, pattern(4096, 1))
      memory.ram.write(5 * 4096 + 7, Uint8Array.of(1))
      memory.rom.write(4096, pattern(100, 2))
    },
  })

function pattern(byteLength: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: byteLength }, (_, i) => (i * 7 + seed) & 0xff)
}

/** What STOP_COPY delivers of a device as its `resume` left it. */
export async function saveDevice(driver: Driver): Promise<Uint8Array> {
  const device = await VfioDevice.open(driver)
  const session = await device.setState(DeviceState.STOP_COPY)
  const chunks: Uint8Array[] = []
  const buffer = new Uint8Array(10_000)
  for (let n = session?.read(buffer) ?? 0; n > 0; n = session?.read(buffer) ?? 0)
    chunks.push(buffer.slice(0, n))
  await device.close()
  return concat(chunks)
}

async function opaqueStream(): Promise<Uint8Array> {
  const writer = await OpaqueWriter.open({ type: 'golden-opaque', version: 7, configuration: { ports: 1 } })
  const chunks = writer.begin()
  for (const piece of [pattern(96, 3), pattern(24, 4)]) {
    writer.frame.set(piece)
    chunks.push(...writer.section(piece.length).map((bytes) => bytes.slice()))
  }
  chunks.push(writer.end())
  writer.dispose()
  return concat(chunks)
}

/** File name to the stream it must hold. */
export const GOLDEN_STREAMS: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  'v1-tick.stopcopy': () => saveDevice(tickDevice()),
  'v1-registers.stopcopy': () => saveDevice(registerDevice()),
  'v1-memory.stopcopy': () => saveDevice(memoryDevice('xxh3')),
  'v1-crc32c.stopcopy': () => saveDevice(memoryDevice('crc32c')),
  'v1-lz4.stopcopy': () => saveDevice(memoryDevice('xxh3', 'lz4')),
  'v1-opaque.stopcopy': opaqueStream,
}
