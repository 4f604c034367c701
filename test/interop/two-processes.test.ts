/** Devices of `stopcopy serve` in processes of their own, and `stopcopy` as their client in others. @module */

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createBulk, verifyBulkWorkload } from '../../src/devices/index.ts'
import { createEngine, restore, VfioDevice } from '../../src/index.ts'
import { fileSource } from '../../src/node/index.ts'
import { start, stopcopy, temporaryDirectory } from '../e2e/command.ts'
import { jsonLines, lineOf, send, startReceive, startServe } from '../e2e/live-command.ts'

const MIB = 1024 * 1024

describe('a device served by one process', { timeout: 120_000 }, () => {
  it('is saved, and restored at a server in another, memory identical', async () => {
    const directory = temporaryDirectory()
    const [a, b, image, first, second, copy] = ['a', 'b', 'image', 'first', 'second', 'copy'].map((name) =>
      join(directory, name),
    ) as [string, string, string, string, string, string]
    writeFileSync(image, Buffer.alloc(2 * MIB + 5, 'a device has memory, and all of it counts. '))
    const source = await startServe('bulk', [a], '-m', image, '--keep-state')
    const destination = await startServe(`bulk:size=${2 * MIB + 5},seed=3`, [b], '--keep-state', '--json')

    const saved = await stopcopy(['save', `vfio-user:${a}`, '-o', first])
    expect(saved).toMatchObject({ code: 0, stderr: '' })
    expect(saved.stdout).toContain(`Saved bulk at ${a} to ${first}; it is in STOP:`)
    expect(await stopcopy(['verify', first])).toMatchObject({ code: 0, stderr: '' })
    const restored = await stopcopy(['restore', `vfio-user:${b}`, first])
    expect(restored).toMatchObject({ code: 0, stderr: '' })
    expect(restored.stdout).toContain(`Restored bulk at ${b} from ${first}; it is in STOP:`)

    // Whoever comes next finds what the last one left, and lets it run.
    const again = await stopcopy(['save', `vfio-user:${b}`, '--run', '-o', second, '--json'])
    expect(again).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(again.stdout)).toMatchObject({
      device: { type: 'bulk', socket: b },
      report: { state: 'RUNNING', owner: 'source' },
    })
    expect(await stopcopy(['restore', 'bulk', second, '--memory-out', copy])).toMatchObject({ code: 0 })
    expect(readFileSync(copy).equals(readFileSync(image))).toBe(true)

    await source.says(/client 1 left after \d+ commands, 0 of them refused; the device is in STOP\n/)
    await destination.says(/"type":"left".*"client":2.*"state":"RUNNING"/)
    expect(await source.interrupt()).toMatchObject({ code: 0, stderr: '' })
    const { code, stdout } = await destination.interrupt()
    expect(code).toBe(0)
    expect(jsonLines(stdout).map(({ type }) => type)).toEqual([
      'listening',
      'client',
      'version',
      'left',
      'client',
      'version',
      'left',
    ])
    expect([existsSync(a), existsSync(b)]).toEqual([false, false])
  })

  it('goes live to a server in another while it works, and nothing it wrote is lost', async () => {
    const directory = temporaryDirectory()
    const [a, b, link, stream] = ['a', 'b', 'link', 'stream'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
      string,
    ]
    await startServe('bulk:size=4MiB,seed=9', [a], '--dirty-rate', '5000')
    await startServe('bulk:size=4MiB,seed=1', [b], '--keep-state')
    const receiver = await startReceive(`unix:${link}`, `vfio-user:${b}`, '--json')
    const sent = await send(receiver.url, `vfio-user:${a}`, '--json')
    expect(sent).toMatchObject({ code: 0, stderr: '' })
    expect(lineOf(sent.stdout, 'report')).toMatchObject({
      device: { type: 'bulk', socket: a },
      report: { owner: 'destination' },
    })
    expect(await receiver.finished).toMatchObject({ code: 0, stderr: '' })
    expect(lineOf(receiver.text().stdout, 'report')).toMatchObject({ report: { owner: 'destination' } })

    // It works on at its new server; saved there, its memory is what its records left.
    expect(await stopcopy(['save', `vfio-user:${b}`, '-o', stream])).toMatchObject({ code: 0, stderr: '' })
    const engine = await createEngine({ memoryBytes: 16 * MIB })
    const bulk = createBulk({ memoryBytes: 4 * MIB, engine })
    const device = await VfioDevice.open(bulk)
    await restore(device, fileSource(stream), { finalState: 1 })
    const { sequence } = bulk
    expect(Number(sequence)).toBeGreaterThan(0)
    expect(await verifyBulkWorkload(bulk.memory, { seed: 9, sequence })).toEqual({ matches: true })
    await device.close()
  })

  it('takes one client at a time, and tells the next one that it is busy', async () => {
    const directory = temporaryDirectory()
    const [a, never, other] = ['a', 'never', 'other'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    const server = await startServe('mtty', [a])
    // A restore that waits for its stream has the device meanwhile, once it is connected.
    const waiting = start(['restore', `vfio-user:${a}`, '-'])
    const stream = join(directory, 'stream')
    expect(await stopcopy(['save', 'mtty', '-o', stream])).toMatchObject({ code: 0 })
    waiting.child.stdin?.write(readFileSync(stream).subarray(0, -1))
    await server.says(/client 1 speaks 0\.2/)
    const refused = await stopcopy(['save', `vfio-user:${a}`, '-o', never])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/EBUSY/)
    expect(existsSync(never)).toBe(false)
    await server.says(/Cannot serve: the device has a client.*, client 2/)
    waiting.child.stdin?.end()
    // A byte short: the server's device is not left with half of a state.
    expect((await waiting.finished).code).toBe(1)
    await server.says(/client 1 left.*the device is in RUNNING/)
    expect(await stopcopy(['save', `vfio-user:${a}`, '-o', other])).toMatchObject({ code: 0, stderr: '' })
  })

  it('ends with its first client where it is told so', async () => {
    const directory = temporaryDirectory()
    const [a, stream] = [join(directory, 'a'), join(directory, 'stream')]
    const server = await startServe('mtty:ports=2', [a], '--once')
    expect(await stopcopy(['save', `vfio-user:${a}`, '-o', stream])).toMatchObject({ code: 0, stderr: '' })
    expect(await server.finished).toMatchObject({ code: 0, stderr: '' })
    expect(existsSync(a)).toBe(false)
    const late = await stopcopy(['save', `vfio-user:${a}`, '-o', stream])
    expect(late).toMatchObject({ code: 1 })
    expect(late.stderr).toMatch(/ENOENT/)
  })
})
