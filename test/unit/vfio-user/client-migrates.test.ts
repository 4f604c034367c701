/** save, restore and migrate with devices at the other end of vfio-user connections. */

import { afterEach, describe, expect, it } from 'vitest'
import { type BulkDriver, createBulk, createMtty, verifyBulkWorkload } from '../../../src/devices/index.ts'
import { type ByteSource, DeviceState, migrate, restore, save, VfioDevice } from '../../../src/index.ts'
import type { VfioUserClient, VfioUserClientOptions } from '../../../src/vfio-user/index.ts'
import { contents, until } from '../../support/bulk-device.ts'
import { goldenStream } from '../../support/mtty-device.ts'
import { serveAndConnect } from '../../support/served-client.ts'

const { STOP, RUNNING, RESUMING, STOP_COPY } = DeviceState
const MEMORY_BYTES = 3_000_005
const open: (() => Promise<void>)[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((close) => close()))
})

async function bulk(
  options: Partial<Parameters<typeof createBulk>[0]> = {},
  client: VfioUserClientOptions = {},
): Promise<{ driver: BulkDriver; client: VfioUserClient }> {
  const driver = createBulk({ memoryBytes: MEMORY_BYTES, ...options })
  const served = await serveAndConnect(driver, client)
  open.push(() => served.client.close().then(async () => void (await served.left)))
  return { driver, client: served.client }
}

function collect(): { sink: WritableStream<Uint8Array>; chunks: Uint8Array[] } {
  const chunks: Uint8Array[] = []
  return { chunks, sink: new WritableStream({ write: (chunk) => void chunks.push(chunk.slice()) }) }
}

function sourceOf(stream: Buffer, chunkBytes = 65_536): ByteSource {
  let at = 0
  return {
    read(dst) {
      const part = stream.subarray(at, at + Math.min(chunkBytes, dst.length))
      dst.set(part)
      at += part.length
      return part.length
    },
    cancel() {},
  }
}

/** With as many pages a second as such messages carry on a slow machine. */
describe.each<[string, number, VfioUserClientOptions]>([
  ['in large messages', 2000, {}],
  ['in small messages', 50, { maxDataBytes: 5000, outstanding: 3, writeBytes: 999, readBytes: 1001 }],
  ['one request at a time', 1000, { outstanding: 1, readBytes: 65_536 }],
])('a device behind vfio-user, %s', (_, pagesPerSecond, options) => {
  it('is who the server says it is, and its stream is the one of the device itself', async () => {
    const { driver, client } = await bulk({ seed: 3 }, options)
    expect(client.identity).toMatchObject({ ...driver.identity, configuration: expect.anything() })
    const over = collect()
    await save(client, over.sink)
    const local = createBulk({ memoryBytes: MEMORY_BYTES, seed: 3 })
    const device = await VfioDevice.open(local)
    const direct = collect()
    await save(device, direct.sink)
    expect(Buffer.concat(over.chunks).equals(Buffer.concat(direct.chunks))).toBe(true)
    await device.close()
  })

  it('is saved, and restored to another one with the same memory', async () => {
    const source = await bulk({ seed: 3, workload: { pagesPerSecond: 50_000 } }, options)
    await until(() => source.driver.sequence > 1000n)
    const { sink, chunks } = collect()
    const report = await save(source.client, sink)
    expect(report.bytes).toBeGreaterThan(MEMORY_BYTES)
    const destination = await bulk({ seed: 9 }, options)
    await restore(destination.client, sourceOf(Buffer.concat(chunks)), { finalState: STOP })
    expect(contents(destination.driver).equals(contents(source.driver))).toBe(true)
    expect(destination.driver.sequence).toBe(source.driver.sequence)
  })

  it('is migrated live while it works, and goes on at the other end', async () => {
    const workload = { pagesPerSecond }
    const source = await bulk({ seed: 3, workload }, options)
    const destination = await bulk({ seed: 9 }, options)
    await until(() => source.driver.sequence > 20n)
    const report = await migrate(source.client, destination.client, { downtimeLimitMs: 1000 })
    expect(report.owner).toBe('destination')
    expect(report.iterations.length).toBeGreaterThan(0)
    expect(await destination.client.state()).toBe(RUNNING)
    const handedOver = source.driver.sequence
    await until(() => destination.driver.sequence > handedOver)
    await destination.client.setState(STOP)
    const { sequence } = destination.driver
    expect(await verifyBulkWorkload(destination.driver.memory, { seed: 3, sequence })).toEqual({
      matches: true,
    })
  })
})

describe('a damaged stream', () => {
  it('is refused at the latest when RESUMING is left, with what is wrong with it, and the device is reset', async () => {
    const { driver, client } = await bulk({ seed: 3 })
    const { sink, chunks } = collect()
    await save(client, sink)
    const stream = Buffer.concat(chunks)
    stream[stream.length >> 1]! ^= 4
    const destination = await bulk({ seed: 9 })
    await expect(restore(destination.client, sourceOf(stream))).rejects.toMatchObject({
      code: 'EBADMSG',
      state: RUNNING,
    })
    expect(await destination.client.state()).toBe(RUNNING)
    expect(driver.identity.type).toBe('bulk')
  })

  it('is refused again by every write and every arc until the reset', async () => {
    const { client } = await bulk({ seed: 3 })
    const session = await client.setState(RESUMING)
    const window = await session!.window(200)
    window.fill(0x55)
    session!.commit(window.length)
    await expect(client.setState(STOP)).rejects.toMatchObject({ code: 'EPROTO', state: RESUMING })
    await expect(client.setState(STOP)).rejects.toMatchObject({ code: 'EINVAL', state: RESUMING })
    await expect(session!.write(Buffer.from('more'))).rejects.toMatchObject({ code: 'EPROTO' })
    expect(() => session!.window(1)).toThrow(expect.objectContaining({ code: 'EPROTO' }))
    await client.reset()
    expect(session!.ended.aborted).toBe(true)
  })

  it('that is too long for an mtty takes nothing, so that the rest may be written', async () => {
    const { client, left } = await serveAndConnect(createMtty({ ports: 2 }))
    const golden = Buffer.from(goldenStream('fresh-2-ports'))
    const session = await client.setState(RESUMING)
    await session!.write(golden.subarray(0, 50))
    await expect(session!.write(Buffer.alloc(golden.length))).rejects.toMatchObject({ code: 'ENOMEM' })
    await session!.write(golden.subarray(50))
    await client.setState(STOP)
    const saving = await client.setState(STOP_COPY)
    const saved = Buffer.alloc(golden.length)
    expect(await saving!.read(saved)).toBe(golden.length)
    expect(saved.equals(golden)).toBe(true)
    await client.close()
    await left
  })
})
