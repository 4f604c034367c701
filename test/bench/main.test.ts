/** `npm run bench --` as a command: what it refuses and what it writes. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { panels, reference } from '../../bench/groups/throughput.mjs'
import { plotThroughput } from '../../bench/harness/plot.mjs'

const root = new URL('../..', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'bench-'))
afterAll(() => rmSync(folder, { recursive: true }))

function bench(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['bench/main.mjs', ...words], { cwd: root }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

describe('npm run bench', () => {
  it('refuses a name that nothing has, with the names there are', async () => {
    const { code, stdout, stderr } = await bench('--only', 'sav', '--only', 'nothing')
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('Cannot run "nothing": no group or case begins so, use one of\n')
    expect(stderr).toContain('  save: M1; save by lease; save by read; ')
  })

  it.each([
    ['--bogus'],
    ['--rounds', '0'],
    ['--compare', 'no-such-file.json'],
    ['--compare', 'package.json'],
    ['--publish', '--quick'],
  ])('refuses %s %s as wrong usage', async (...words) => {
    const { code, stdout } = await bench(...words)
    expect([code, stdout]).toEqual([2, ''])
  })

  it('prints targets and tables, and writes the run', async () => {
    const { code, stdout } = await bench('--quick', '--only', 'wasm-size', '--assert', '--output', folder)
    expect(code).toBe(0)
    expect(stdout).toMatch(/\| WASM, simd \+ baseline, inlined \| under 80 KiB \| [\d.]+ KiB \| yes \|/)
    expect(stdout).toContain('**Quick run: smaller sizes and few rounds. Its figures are no results.**')
    const run = JSON.parse(readFileSync(join(folder, 'latest.json'), 'utf8'))
    expect(run).toMatchObject({ version: 1, quick: true, groups: [{ name: 'wasm-size' }] })
  })
})

describe('plotThroughput', () => {
  it('draws a line for every case of a panel and the ratio to Buffer.copy at ours', () => {
    const ways = [reference, ...panels.flatMap((panel) => panel.ways)]
    const cases = ways.flatMap((way, index) =>
      [4096, 65_536].map((bytes) => ({
        name: `${way}, ${bytes}`,
        bytes,
        seconds: [(bytes / 1e9) * (index + 1)],
      })),
    )
    const svg = plotThroughput({ cases }, 'a < b & c')
    const lines = panels.reduce((total, panel) => total + panel.ways.length + 1, 0)
    expect(svg.match(/<polyline /g)).toHaveLength(lines)
    expect(svg.match(/<circle /g)).toHaveLength(2 * panels.length)
    expect(svg).toContain('>0.50</text>')
    expect(svg).toContain('a &lt; b &amp; c')
  })
})
