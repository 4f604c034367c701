import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type EndSetup, MigrationProcess, type MigrateResult } from '../support/migration-process.ts'

const MIB = 2 ** 20
const MEMORY_BYTES = 256 * MIB

describe('a migration of 256 MiB between two processes', () => {
  it('takes less than 200 MiB of either besides the device', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'stopcopy-memory-'))
    const listen = `unix:${join(directory, 'socket')}`
    const setup = { memoryBytes: MEMORY_BYTES, seed: 1, workload: { pagesPerSecond: 20_000 } }
    const start = (own: Pick<EndSetup, 'role' | 'listen'>): Promise<MigrationProcess> =>
      MigrationProcess.start({ ...setup, ...own })
    const ends = await Promise.all([start({ role: 'source' }), start({ role: 'destination', listen })])
    onTestFinished(async () => {
      await Promise.all(ends.map((end) => end.end()))
      rmSync(directory, { recursive: true })
    })
    const result = await ends[0].command<MigrateResult>('migrate', { to: listen })
    expect(result).toMatchObject({ owner: 'destination' })
    for (const end of ends) {
      const measured = await end.command<{ peakBytes: number }>('measure')
      expect(measured?.peakBytes).toBeGreaterThan(MEMORY_BYTES)
      expect(measured?.peakBytes).toBeLessThan(MEMORY_BYTES + 200 * MIB)
    }
  }, 120_000)
})
