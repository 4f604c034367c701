import { readFile, writeFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Driver } from '../../src/device/driver.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { readIndependently } from '../support/independent-reader.ts'
import { readStream } from '../unit/format/stream-recorder.ts'
import { GOLDEN_STREAMS, memoryDevice, registerDevice } from './golden-streams.ts'

/** UPDATE_GOLDEN=1 writes files and manifest anew: for a format version that was never released. */
const UPDATE = process.env['UPDATE_GOLDEN'] === '1'
const MANIFEST = new URL('manifest.json', import.meta.url)

const pathOf = (name: string): URL => new URL(name, import.meta.url)
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What the reader finds in a stream, as JSON. */
function summary(stream: Uint8Array): unknown {
  const { streamHeader, options, sections } = readStream(stream)
  const { fingerprint, ...header } = streamHeader as NonNullable<typeof streamHeader>
  const configuration = Object.fromEntries(
    Object.entries(options ?? {}).map(([name, value]) => [
      name,
      typeof value === 'bigint' ? `${value}` : value,
    ]),
  )
  return {
    byteLength: stream.length,
    header: { ...header, fingerprint: hexOf(fingerprint) },
    configuration,
    sections: sections.map(({ section, offset }) => ({ offset, ...section })),
    digest: hexOf(stream.subarray(stream.length - 8)),
  }
}

beforeAll(async () => {
  if (!UPDATE) return
  const manifest: Record<string, unknown> = {}
  for (const [name, create] of Object.entries(GOLDEN_STREAMS)) {
    const stream = await create()
    await writeFile(pathOf(name), stream)
    manifest[name] = summary(stream)
  }
  await writeFile(MANIFEST, `${JSON.stringify(manifest, undefined, 2)}\n`)
})

describe.each(Object.keys(GOLDEN_STREAMS))('%s', (name) => {
  it('is written byte for byte as it was', async () => {
    const expected = await readFile(pathOf(name))
    expect(expected.length).toBeLessThan(20_480)
    const stream = (await GOLDEN_STREAMS[name]?.()) as Uint8Array
    expect(hexOf(stream)).toBe(hexOf(expected))
  })

  it('holds what the manifest says', async () => {
    const manifest = JSON.parse(await readFile(MANIFEST, 'utf8')) as Record<string, unknown>
    expect(summary(await readFile(pathOf(name)))).toEqual(manifest[name])
  })

  it('means the same to the reader that was written from the specification', async () => {
    const stream = await readFile(pathOf(name))
    const ours = readStream(stream)
    const theirs = readIndependently(stream)
    const { section: end } = ours.sections.at(-1) as (typeof ours.sections)[number]
    expect(theirs).toMatchObject({
      deviceType: ours.streamHeader?.deviceType,
      deviceVersion: ours.streamHeader?.deviceVersion,
      opaque: ours.streamHeader?.opaque,
      digest: stream.readBigUInt64LE(stream.length - 8),
    })
    expect(end.tag).toBe(6)
    expect(theirs.sections).toEqual(
      ours.sections.slice(0, -1).map(({ section: { tag, region, first, payloadBytes } }) => ({
        tag,
        region,
        first: BigInt(first),
        payloadBytes,
      })),
    )
    const integers = Object.entries(ours.options ?? {}).map(
      ([key, value]) => [key, typeof value === 'number' ? BigInt(value) : value] as const,
    )
    expect(theirs.config).toEqual(new Map(integers))
    expect(hexOf(theirs.state)).toBe(hexOf(ours.state))
    expect(theirs.regions.map(({ bytes }) => hexOf(bytes))).toEqual(ours.memory.map(hexOf))
    expect(hexOf(theirs.opaqueBytes)).toBe(hexOf(Uint8Array.from(ours.opaque)))
  })

  it('is refused by both readers when any byte is changed, dropped or added', async () => {
    const stream = await readFile(pathOf(name))
    // Every byte of a small stream, a sample of a larger one.
    const step = Math.ceil(stream.length / 400)
    for (let at = 0; at < stream.length; at += step) {
      const changed = Uint8Array.from(stream)
      changed[at] = (changed[at] as number) ^ 0x10
      for (const damaged of [
        changed,
        stream.subarray(0, at),
        Buffer.concat([stream, stream.subarray(0, at + 1)]),
      ]) {
        expect(() => readStream(damaged)).toThrow()
        expect(() => readIndependently(damaged)).toThrow(/^refused/)
      }
    }
  })
})

async function restore(driver: Driver, name: string): Promise<VfioDevice> {
  const device = await VfioDevice.open(driver)
  const session = await device.setState(DeviceState.RESUMING)
  session?.write(await readFile(pathOf(name)))
  await device.setState(DeviceState.STOP)
  return device
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((total, byte) => total + byte, 0)
}

describe('a golden stream restored to its device', () => {
  it('gives the registers', async () => {
    const driver = registerDevice()
    const device = await restore(driver, 'v1-registers.stopcopy')
    const { state } = driver
    expect({ ...state, fifo: [state.fifo.at(0), state.fifo.at(1), state.fifo.length] }).toMatchObject({
      enabled: true,
      divisor: 12,
      base: 0xfedc_ba98_7654_3210n,
      offset: -2,
      fifo: [2, 3, 2],
      clock: { low: 1, high: 2 },
      channel: [{ count: 9 }, { count: 9 }],
      late: 5,
    })
    expect([...(state.table as Uint8Array)]).toEqual([7, 7, 7, 7, 7])
    expect(hexOf(state.raw)).toBe('aabbcc')
    await device.close()
  })

  it.each(['memory', 'crc32c', 'lz4'])('gives the memory, from %s', async (name) => {
    // Checksum and compression are the writer's choice: a device loads any.
    const driver = memoryDevice('xxh3')
    const device = await restore(driver, `v1-${name}.stopcopy`)
    expect(driver.state.cursor).toBe(5)
    const { ram, rom } = driver.memory
    expect(ram.bytes[5 * 4096 + 7]).toBe(1)
    expect(sum(ram.bytes.subarray(0, 2 * 4096)) + sum(ram.bytes.subarray(3 * 4096))).toBe(1)
    expect([...ram.bytes.subarray(2 * 4096, 2 * 4096 + 3)]).toEqual([1, 8, 15])
    expect([rom.bytes[4095], rom.bytes[4096], rom.bytes[4195]]).toEqual([0, 2, (99 * 7 + 2) & 0xff])
    await device.close()
  })
})
