import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { inspect } from '../../../src/migrate/inspect.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { fileSink, fileSource, nodeReadable, nodeWritable } from '../../../src/node/index.ts'
import { memoryPair } from '../../../src/transport/memory-duplex.ts'
import type { SinkLike, SourceLike } from '../../../src/transport/web-streams.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { temporaryDirectory } from '../node/temporary-directory.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'
import { KINDS, savedStream } from './test-devices.ts'

const directory = temporaryDirectory()
let files = 0

/** How bytes go from one end to the other; a stored one is read only when it was written whole. */
interface Transport {
  readonly name: string
  make(): { sink: SinkLike; source: () => SourceLike; stored?: true }
}

const TRANSPORTS: readonly Transport[] = [
  {
    name: 'a memory pair',
    make: () => {
      const [here, there] = memoryPair({ highWaterMark: 1000 })
      return { sink: here, source: () => there }
    },
  },
  {
    name: 'a file',
    make: () => {
      const path = join(directory, `stream-${files++}`)
      return { sink: fileSink(path), source: () => fileSource(path), stored: true }
    },
  },
  {
    name: 'file streams of Node',
    make: () => {
      const path = join(directory, `stream-${files++}`)
      const source = (): SourceLike => nodeReadable(createReadStream(path))
      return { sink: nodeWritable(createWriteStream(path)), source, stored: true }
    },
  },
  {
    name: 'a pipe of Node',
    make: () => {
      const pipe = new PassThrough()
      return { sink: nodeWritable(pipe), source: () => nodeReadable(pipe) }
    },
  },
  {
    name: 'WHATWG streams',
    make: () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
      return { sink: writable, source: () => readable }
    },
  },
  {
    name: 'compressed WHATWG streams',
    make: () => {
      const { readable, writable } = new CompressionStream('gzip')
      const plain = readable.pipeThrough(new DecompressionStream('gzip'))
      return { sink: writable as WritableStream<Uint8Array>, source: () => plain }
    },
  },
]

describe.each(KINDS)('$name', (kind) => {
  it.each(TRANSPORTS)('is restored as it was saved, through $name', async (transport) => {
    const from = await kind.open(true)
    const to = await kind.open(false)
    const expected = from.content().slice()
    expect(to.content()).not.toEqual(expected)
    const { sink, source, stored } = transport.make()
    const saving = save(from.device, sink)
    if (stored) await saving
    const [saved, restored] = await Promise.all([saving, restore(to.device, source())])
    expect(Buffer.compare(to.content(), expected)).toBe(0)
    expect(saved).toMatchObject({ state: DeviceState.STOP, owner: 'none', bytes: restored.bytes })
    expect(restored).toMatchObject({ state: DeviceState.RUNNING, owner: 'destination' })
    expect([await from.device.state(), await to.device.state()]).toEqual([
      DeviceState.STOP,
      DeviceState.RUNNING,
    ])
    await Promise.all([from.device.close(), to.device.close()])
  })

  it('goes on running after a save with finalState RUNNING, and the report says for how long it stood', async () => {
    const { device } = await kind.open(true)
    const report = await save(device, new RecordingSink(), { finalState: DeviceState.RUNNING })
    expect(await device.state()).toBe(DeviceState.RUNNING)
    expect(report).toMatchObject({ state: DeviceState.RUNNING, owner: 'source' })
    expect(report.downtimeMs).toBeGreaterThanOrEqual(0)
    expect(report.downtimeMs).toBeLessThanOrEqual(report.elapsedMs)
    await device.close()
  })

  it('stays stopped after a restore with finalState STOP, and can be saved again with the same bytes', async () => {
    const stream = await savedStream(kind)
    const { device } = await kind.open(false)
    const report = await restore(device, new RecordingSource(stream), { finalState: DeviceState.STOP })
    expect(report).toMatchObject({ state: DeviceState.STOP, owner: 'none', bytes: stream.length })
    const again = new RecordingSink()
    const saved = await save(device, again)
    expect(saved.downtimeMs).toBe(undefined)
    expect(Buffer.compare(again.bytes, stream)).toBe(0)
    await device.close()
  })

  it('reports times of its phases and a throughput', async () => {
    const stream = await savedStream(kind)
    const { device } = await kind.open(false)
    const { phases, elapsedMs, bytesPerSecond } = await restore(device, new RecordingSource(stream))
    const sum = Object.values(phases).reduce((total, ms) => total + ms, 0)
    expect(sum).toBeLessThanOrEqual(elapsedMs + 1)
    expect(bytesPerSecond).toBeCloseTo((stream.length / phases.transferMs) * 1000, 0)
    await device.close()
  })

  it('tells its progress: the save up to an estimate, the restore up to the size of the file', async () => {
    const { device } = await kind.open(true)
    const path = join(directory, `stream-${files++}`)
    const saved: [number, number | undefined][] = []
    const { bytes } = await save(device, fileSink(path), {
      onProgress: (progress) => saved.push([progress.bytes, progress.totalBytes]),
    })
    expect(saved.at(-1)).toEqual([bytes, bytes])
    const restored: [number, number | undefined][] = []
    await restore(device, fileSource(path), {
      onProgress: (progress) => restored.push([progress.bytes, progress.totalBytes]),
    })
    expect(restored.at(-1)).toEqual([bytes, bytes])
    expect(restored.length).toBeGreaterThan(1)
    await device.close()
  })
})

it.each(KINDS.slice(0, 2))('$name is restored from a source that gives one byte at a time', async (kind) => {
  const { device, content } = await kind.open(false)
  await restore(device, new RecordingSource(await savedStream(kind), 1))
  expect(content()[0]).toBe(0xa5)
  await device.close()
})

it('what is saved of an opaque device is the checked format around its own bytes', async () => {
  const kind = KINDS[1] as (typeof KINDS)[number]
  const stream = await savedStream(kind)
  const report = await inspect(new RecordingSource(stream))
  expect(report.header).toMatchObject({ deviceType: 'mtty', deviceVersion: 1, opaque: true })
  expect({ ...report.configuration }).toEqual({ ports: 2 })
  expect(report.tags).toMatchObject({ OPAQUE: { sections: 1, payloadBytes: 96 } })
})
