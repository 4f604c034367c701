/** The conformance suite on devices of a module: whatever it meets, each is closed and destroyed. @module */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { DeviceChecks } from '../../../src/cli/device-checks.ts'

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-checks-'))
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => void vi.restoreAllMocks())

/** Set by the modules below, which run in this process. */
const seen = globalThis as { timesMade?: number; timesClosed?: number; timesDestroyed?: number }

/** Checks of the device that a module of that name makes. */
function checksOf(name: string, { driver = '', destroy = '' }): DeviceChecks {
  const path = join(folder, name)
  const code = `export default () => {
  globalThis.timesMade++
  return {
    driver: {
      identity: { type: 'a', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' },
      flags: 1,
      transition: (from, to) => to === 3 ? { direction: 'save', read: () => 0, end() {} } : undefined,
      stopCopyLength: () => 0,
      reset() {},
      close() { globalThis.timesClosed++ },
      ${driver}
    },
    destroy() { globalThis.timesDestroyed++; ${destroy} },
  }
}`
  writeFileSync(path, code)
  Object.assign(seen, { timesMade: 0, timesClosed: 0, timesDestroyed: 0 })
  return new DeviceChecks({ type: 'module', path }, new AbortController().signal)
}

function watchStderr(): () => string[] {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  return () => write.mock.calls.map(([text]) => String(text))
}

describe('DeviceChecks', () => {
  it('closes the device whose abilities cannot be told', async () => {
    watchStderr()
    const dirtyLog = `dirtyLog: { start: () => 4096n, report() {}, stop() { throw new Error('no log') } },`
    const checks = checksOf('log.mjs', { driver: dirtyLog })
    await expect(checks.list()).rejects.toMatchObject({ code: 'EIO' })
    expect(seen).toMatchObject({ timesMade: 1, timesClosed: 1, timesDestroyed: 1 })
  })

  it('destroys all that was made, though each destroy() throws, and tells it', async () => {
    const stderr = watchStderr()
    const checks = checksOf('destroy.mjs', { destroy: `throw new Error('no way')` })
    const faulty = (await checks.list()).filter(({ name }) => name.includes('a failure'))
    for (const check of faulty) await check.run()
    const before = seen.timesDestroyed ?? 0
    expect(seen.timesMade).toBeGreaterThan(before + 1)
    await expect(checks.close()).resolves.toBeUndefined()
    expect(seen.timesDestroyed).toBe(seen.timesMade)
    expect(stderr()).toHaveLength(seen.timesMade ?? 0)
    for (const line of stderr())
      expect(line).toMatch(/^stopcopy: Cannot destroy the device of "[^"]*destroy\.mjs": no way\n$/)
  })

  it('finds that close() fails', async () => {
    const stderr = watchStderr()
    const checks = checksOf('stuck.mjs', { driver: `close() { throw new Error('stuck') },` })
    const check = (await checks.list()).find(({ name }) => name.includes('closing the device ends'))
    const told = stderr().length
    expect(await check?.run()).toMatchObject({
      status: 'fail',
      reason: expect.stringContaining('Cannot close the device'),
    })
    expect(stderr()).toHaveLength(told)
    expect(seen.timesDestroyed).toBe(seen.timesMade)
  })
})
