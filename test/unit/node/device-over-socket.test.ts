import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createBulk } from '../../../src/devices/bulk/bulk.ts'
import { migrate } from '../../../src/migrate/live/migrate.ts'
import { receive } from '../../../src/migrate/receive/receive.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { gone, readAll, socketPair } from '../../support/socket-pair.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const directory = temporaryDirectory()
const BYTES = 3 * 1024 * 1024 + 4097
const URLS = [`unix:${join(directory, 'device.sock')}`, 'tcp:127.0.0.1:0']

async function openBulk() {
  const bulk = createBulk({ memoryBytes: BYTES })
  const content = (): Uint8Array => {
    const bytes = new Uint8Array(BYTES)
    bulk.memory.read(0, bytes)
    return bytes
  }
  return { device: await VfioDevice.open(bulk), memory: bulk.memory, content }
}

describe.each(URLS)('a device over %s', (url) => {
  it('arrives as it was sent, and both connections are gone after it', async () => {
    const source = await openBulk()
    source.memory.write(
      0,
      new Uint8Array(BYTES).map((_, i) => (i * 7) ^ (i >>> 9)),
    )
    const target = await openBulk()
    const { here, there } = await socketPair(url)
    const [saved, restored] = await Promise.all([save(source.device, here), restore(target.device, there)])
    await there.close()
    expect(restored.bytes).toBe(saved.bytes)
    expect(Buffer.compare(target.content(), source.content())).toBe(0)
    await readAll(here)
    await Promise.all([gone(here), gone(there)])
    await Promise.all([source.device.close(), target.device.close()])
  })

  it('that is canceled on the way is at its power-on content, and the sender learns of it', async () => {
    const source = await openBulk()
    source.memory.write(0, new Uint8Array(BYTES).fill(7))
    const target = await openBulk()
    const { here, there } = await socketPair(url)
    const controller = new AbortController()
    const options = {
      signal: controller.signal,
      onProgress: ({ bytes }: { bytes: number }) => bytes > 500_000 && controller.abort(),
    }
    const saving = codeOf(() => save(source.device, here).then(() => readAll(here)))
    expect(await codeOf(() => restore(target.device, there, options))).toBe('ECANCELED')
    await there.cancel()
    await saving
    await gone(here)
    expect(target.content().every((byte) => byte === 0)).toBe(true)
    await Promise.all([source.device.close(), target.device.close()])
  })

  it('that is damaged on the way is refused, and nothing of it stays', async () => {
    const target = await openBulk()
    const { here, there } = await socketPair(url)
    const restoring = failureOf(() => restore(target.device, there))
    const source = await openBulk()
    source.memory.write(0, new Uint8Array(BYTES).fill(9))
    const damaging = {
      ...sinkOf(here),
      async write(chunks: Uint8Array[]) {
        const bytes = Buffer.concat(chunks)
        if (bytes.length > 1000) bytes[bytes.length - 900] = (bytes[bytes.length - 900] as number) ^ 1
        await here.write([bytes])
      },
    }
    await codeOf(() => save(source.device, damaging))
    expect((await restoring).code).toBe('EBADMSG')
    expect(target.content().every((byte) => byte === 0)).toBe(true)
    await here.cancel()
    await Promise.all([source.device.close(), target.device.close()])
  })

  it.each([2, 5])(
    'goes live over %i connections, whichever of them is quicker, and arrives as it was',
    async (count) => {
      const source = await openBulk()
      source.memory.write(
        0,
        new Uint8Array(BYTES).map((_, i) => (i * 7) ^ (i >>> 9)),
      )
      const target = await openBulk()
      // More than once: which frame is early is up to the kernel.
      for (let round = 0; round < 3; round++) {
        const pairs = await Promise.all(
          Array.from({ length: count }, (_, at) => socketPair(numbered(url, at))),
        )
        const [report, received] = await Promise.all([
          migrate(
            source.device,
            pairs.map(({ here }) => here),
          ),
          receive(
            target.device,
            pairs.map(({ there }) => there),
          ),
        ])
        expect(report).toMatchObject({ owner: 'destination', connections: count, bytes: received.bytes })
        expect(Buffer.compare(target.content(), source.content())).toBe(0)
        await Promise.all(pairs.flatMap(({ here, there }) => [here.cancel(), there.cancel()]))
        await source.device.setState(DeviceState.RUNNING)
        await target.device.setState(DeviceState.STOP)
      }
      await Promise.all([source.device.close(), target.device.close()])
    },
  )
})

/** A socket file of its own for each listener. */
function numbered(url: string, at: number): string {
  return url.startsWith('unix:') ? `${url}.${at}` : url
}

function sinkOf(connection: { close(): Promise<void>; abort(reason?: unknown): Promise<void> }) {
  return { close: () => connection.close(), abort: (reason: unknown) => connection.abort(reason) }
}
