/** The demo: two processes, and a proof. @module */

import { readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { start, stopcopy, temporaryDirectory } from './command.ts'

/** Directories of demos that run, or left something behind. */
function traces(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('stopcopy-demo-'))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('the demo', { timeout: 60_000 }, () => {
  it('proves that the destination went on where the source had stopped, and draws it', async () => {
    const plot = join(temporaryDirectory(), 'demo.svg')
    const words = ['--size', '4MiB', '--dirty-rate', '2000', '--plot', plot]
    const { code, stdout, stderr } = await stopcopy(['demo', ...words, '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const report = JSON.parse(stdout) as {
      processes: { source: number; destination: number }
      records: Record<'atStop' | 'atStart' | 'atEnd', string>
      nonce: { written: string; read: string }
    }
    expect(report).toMatchObject({
      memoryBytes: 4 * 1024 ** 2,
      memoryMatches: true,
      nonce: { written: expect.stringMatching(/^[0-9a-f]{64}$/), writtenIn: 'PRE_COPY', equal: true },
      sent: { owner: 'destination', downtimeMs: expect.any(Number) },
      received: { owner: 'destination' },
    })
    const { records, nonce, processes } = report
    expect(nonce.read).toBe(nonce.written)
    expect(records.atStart).toBe(records.atStop)
    expect(Number(records.atStop)).toBeGreaterThan(0)
    expect(Number(records.atEnd)).toBeGreaterThan(Number(records.atStart))
    expect(Object.values(processes).filter(isAlive)).toEqual([])
    expect(readFileSync(plot, 'utf8')).toMatch(/^<svg [^]*<\/svg>\n$/)
  })

  it('shows its timeline to a person, each process in its column', async () => {
    const { code, stdout, stderr } = await stopcopy(['demo', '--size', '1MiB', '--dirty-rate', '500'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const state of ['RUNNING', 'PRE_COPY', 'STOP_COPY', 'STOP'])
      expect(stdout).toMatch(new RegExp(`^ +[\\d.]+ s {2}${state}\\b`, 'm'))
    for (const state of ['RESUMING', 'STOP', 'RUNNING'])
      expect(stdout).toMatch(new RegExp(`^ +[\\d.]+ s {40,}${state}$`, 'm'))
    const times = [...stdout.matchAll(/^ +([\d.]+) s /gm)].map(([, time]) => Number(time))
    expect(times).toEqual([...times].sort((a, b) => a - b))
    expect(stdout).toMatch(/none lost\s+or\s+repeated/)
    expect(stdout).toContain('Proven in ')
  })

  it('leaves no process and no file behind when it is interrupted', async () => {
    const before = traces()
    const { child, finished } = start(['demo', '--size', '64MiB'])
    let stdout = ''
    const pids = new Promise<number[]>((resolve) => {
      child.stdout?.on('data', (chunk: Buffer) => {
        stdout += chunk.toString()
        const found = [...stdout.matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid))
        if (found.length === 2) resolve(found)
      })
    })
    const started = await pids
    child.kill('SIGINT')
    expect(await finished).toMatchObject({ code: 130, stderr: 'stopcopy: interrupted by SIGINT\n' })
    expect(started.filter(isAlive)).toEqual([])
    expect(traces().filter((name) => !before.includes(name))).toEqual([])
  })
})
