/** The live-migration benchmarks: what they count, what they run, and that nothing they started stays behind. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { countMessages } from '../../bench/live/count-messages.mjs'
import { isOver, isPredicted } from '../../bench/live/downtime.mjs'
import { writeFrames } from '../../bench/live/frames.mjs'
import { Peer } from '../../bench/live/peer.mjs'
import { writeThrough } from '../../bench/live/raw-pipe.mjs'
import { memoryPair } from '../../src/index.ts'
import { encodeDataHeader, encodeMessage, newMigrationId } from '../../src/migrate/handover/frame.ts'
import { MessageType } from '../../src/migrate/handover/message-type.ts'

const root = new URL('../..', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bench-live-'))
afterAll(() => rmSync(folder, { recursive: true }))

function bench(...words: string[]): Promise<{ code: number; stderr: string }> {
  return new Promise((resolve) => {
    const options = { cwd: root, env: { ...process.env, TMPDIR: folder } }
    execFile(process.execPath, ['bench/main.mjs', ...words], options, (error, _stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stderr }),
    )
  })
}

describe('the live groups', () => {
  it.each(['transports', 'downtime'])('live-%s has the cases that it lists', async (name) => {
    const group = await import(`../../bench/live/${name}.mjs`)
    const opened = await group.open({ quick: true })
    await opened.close()
    expect(opened.cases.map((each: { name: string }) => each.name)).toEqual(group.names)
  })

  it('are offered to whoever asks for one that is not there', async () => {
    const { code, stderr } = await bench('--only', 'live-nothing')
    expect(code).toBe(2)
    expect(stderr).toContain('  live-transports: unix: pipe; ')
    expect(stderr).toContain('  live-downtime: 512 MiB, idle, limit 300 ms; ')
    expect(stderr).toContain('  live-cost: pipe; ')
  })

  it('migrate between two processes beside the pipe they are held against, and leave nothing', async () => {
    const output = join(folder, 'output')
    const words = ['--quick', '--only', 'unix: migrate, no pre-copy', '--output', output]
    expect((await bench(...words)).code).toBe(0)
    const run = JSON.parse(readFileSync(join(output, 'latest.json'), 'utf8'))
    const cases = run.groups[0].cases.map((each: { name: string; seconds: number[] }) => [
      each.name,
      each.seconds.length,
    ])
    expect(cases).toEqual([
      ['unix: pipe', 1],
      ['unix: migrate, no pre-copy', 1],
    ])
    rmSync(output, { recursive: true })
    // Sockets and certificates were in a folder of their own.
    expect(readdirSync(folder)).toEqual([])
  }, 120_000)
})

describe('a prediction', () => {
  it.each([
    [10, 14.9, true],
    [10, 15.1, true],
    [10, 20.1, false],
    [1, 5.9, true],
    [1, 6.1, false],
    [100, 50, true],
    [100, 49, false],
  ])('of %d ms is held against %d ms: %s', (expectedDowntimeMs, downtimeMs, fits) => {
    expect(isPredicted({ expectedDowntimeMs, downtimeMs })).toBe(fits)
  })

  it('is over its limit when that is exceeded by more than a quarter', () => {
    expect(isOver({ downtimeMs: 25, downtimeLimitMs: 20 })).toBe(false)
    expect(isOver({ downtimeMs: 25.1, downtimeLimitMs: 20 })).toBe(true)
  })
})

describe('Peer', () => {
  it('brings back what a call failed with', async () => {
    const peer = Peer.process('pipe-process.mjs')
    try {
      await expect(peer.call('write', { id: 1 })).rejects.toThrow(
        /^write failed in another process: TypeError/,
      )
      await expect(peer.call('cpuSeconds')).resolves.toBeGreaterThan(0)
    } finally {
      await peer.end()
    }
  })

  it('fails the call under way, and later ones, when its process is ended', async () => {
    const peer = Peer.process('pipe-process.mjs')
    const { pid } = await peer.call('identify')
    const touching = peer.call('touch', { bytes: 2 ** 26 })
    const failed = expect(touching).rejects.toThrow('it ended with SIGKILL')
    await peer.end()
    await failed
    await expect(peer.call('cpuSeconds')).rejects.toThrow('it ended with SIGKILL')
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })

  it('can be a thread', async () => {
    const peer = Peer.thread('pipe-process.mjs')
    await expect(peer.call('identify')).resolves.toEqual({ pid: process.pid })
    await peer.end()
    await expect(peer.call('identify')).rejects.toThrow('it ended with 1')
  })
})

describe('the pipe', () => {
  it.each([1, 2])(
    'is written in pieces, %d under way, as often as memory has to be repeated',
    async (most) => {
      const memory = Buffer.from([1, 2, 3, 4])
      const written: number[][] = []
      const taken: (() => void)[] = []
      let deepest = 0
      const pipe = {
        write(chunk: Uint8Array, done: () => void) {
          written.push([...chunk])
          taken.push(done)
          deepest = Math.max(deepest, taken.length)
          setImmediate(() => taken.shift()?.())
        },
        answered: () => Promise.resolve(),
      }
      const seconds = await writeThrough(pipe, memory, { bytes: 7, writeBytes: 2, underWay: most })
      expect(written).toEqual([[1, 2], [3, 4], [1, 2], [3]])
      expect(deepest).toBe(most)
      expect(seconds).toBeGreaterThan(0)
    },
  )
})

describe('countMessages', () => {
  it('counts what is asked, and no data', async () => {
    const [here, there] = memoryPair()
    const { duplex, requests } = countMessages(here)
    const id = newMigrationId()
    await duplex.write(encodeMessage(id, { type: MessageType.PING }))
    await duplex.write([encodeDataHeader(id, 0, 0, 64), new Uint8Array(64)])
    await duplex.write(encodeMessage(id, { type: MessageType.COMMIT }))
    expect(requests()).toBe(2)
    await there.cancel(new Error('the test is over'))
  })
})

describe('writeFrames', () => {
  it('writes a header of 64 bytes and four sections a MiB', async () => {
    const writes: number[][] = []
    const sink = {
      write: (chunks: Uint8Array[]) => void writes.push(chunks.map(({ length }) => length)),
      close: async () => {},
      abort: async () => {},
    }
    await writeFrames(sink, { bytes: 2 * 2 ** 20 })
    const section = [32, 2 ** 18]
    const frame = [64, ...section, ...section, ...section, ...section]
    expect(writes).toEqual([frame, frame])
  })
})
