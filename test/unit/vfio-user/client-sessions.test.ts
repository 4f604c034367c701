import { describe, expect, it } from 'vitest'
import { DeviceState, restore, save } from '../../../src/index.ts'
import { VfioUserClient } from '../../../src/vfio-user/index.ts'
import { byteSink, byteSource } from '../../../src/transport/index.ts'
import { LibvfioUser, ScriptedServer } from '../../support/scripted-vfio-user.ts'

const { RUNNING, STOP, STOP_COPY } = DeviceState

function pattern(byteLength: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: byteLength }, (_, at) => (at * 31 + (at >> 8)) & 0xff))
}

async function connect(server: ScriptedServer, options = {}): Promise<VfioUserClient> {
  return VfioUserClient.connect(server.connection, { requestTimeoutMs: 20_000, ...options })
}

async function readAll(session: { read(dst: Uint8Array): unknown }): Promise<Buffer> {
  const parts: Buffer[] = []
  for (;;) {
    const dst = Buffer.alloc(777)
    const count = (await session.read(dst)) as number
    if (count === 0) return Buffer.concat(parts)
    parts.push(dst.subarray(0, count))
  }
}

describe('a saving session of a libvfio-user server', () => {
  it.each([
    ['padded', Infinity],
    ['short and padded', 1000],
    ['a byte at a time', 1],
  ])('reads replies that are %s to the end', async (_, step) => {
    const data = pattern(step === 1 ? 50 : 10_000)
    const server = new ScriptedServer(undefined, new LibvfioUser({ data, step }))
    const client = await connect(server, { readBytes: 4096 })
    const session = await client.setState(STOP_COPY)
    expect(data.equals(await readAll(session!))).toBe(true)
    expect(await session!.read(new Uint8Array(1))).toBe(0)
    await client.setState(STOP)
    await expect(async () => session!.read(new Uint8Array(1))).rejects.toThrow(/ended/)
    await client.close()
  })
})

describe('save and restore', () => {
  it('carry a foreign device from one libvfio-user server to another', async () => {
    const data = pattern(300_000)
    const source = await connect(new ScriptedServer(undefined, new LibvfioUser({ data, early: 5 })))
    expect(source.identity.type).toBe('pci-dead:beef')
    const chunks: Uint8Array[] = []
    await save(
      source,
      byteSink(new WritableStream({ write: (chunk: Uint8Array) => void chunks.push(chunk.slice()) })),
    )
    const there = new ScriptedServer()
    const destination = await connect(there)
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(chunk)
        controller.close()
      },
    })
    await restore(destination, byteSource(stream))
    expect(data.equals(Buffer.concat(there.device.loaded))).toBe(true)
    expect(there.device.state).toBe(RUNNING)
    expect(await destination.state()).toBe(RUNNING)
  })
})
