/** A device of a module, from its offer to its end. @module */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import type { ConfigurationValue } from '../../../src/device/driver.ts'
import { openModule } from '../../../src/cli/module-device.ts'

const folder = mkdtempSync(join(tmpdir(), 'stopcopy-module-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Set by the modules below, which run in this process. */
const seen = globalThis as { asked?: number; ends?: string[] }

/** The module of that name; `extras` come beside its driver, which ends with `close`. */
function module(name: string, { extras = '', close = '' }): string {
  const path = join(folder, name)
  const code = `export default () => {
  globalThis.asked = (globalThis.asked ?? 0) + 1
  globalThis.ends = []
  return {
    driver: {
      identity: { type: 'a', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' },
      flags: 1,
      transition() {},
      stopCopyLength: () => 0,
      reset() {},
      close() { globalThis.ends.push('closed'); ${close} },
    },
    destroy() { globalThis.ends.push('destroyed') },
    ${extras}
  }
}`
  writeFileSync(path, code)
  return path
}

function watchStderr(): () => string {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  return () => write.mock.calls.map(([text]) => String(text)).join('')
}

afterEach(() => void vi.restoreAllMocks())

describe('openModule()', () => {
  it('destroys what a driver with a failing close() had, tells it, and does not reject', async () => {
    const path = module('stuck.mjs', { close: `throw new Error('stuck\\u001b[2J')` })
    const { close } = await openModule(path)
    const stderr = watchStderr()
    await expect(close()).resolves.toBeUndefined()
    expect(seen.ends).toEqual(['closed', 'destroyed'])
    expect(stderr()).toMatch(
      /^stopcopy: Cannot close the device of "[^\n]*stuck\.mjs": [^\n]*stuck \[2J[^\n]*\n$/,
    )
    expect(stderr()).not.toContain('\u001b')
  })

  it('does not reject whatever destroy() throws', async () => {
    const { close } = await openModule(module('thrower.mjs', { extras: 'destroy() { throw null },' }))
    const stderr = watchStderr()
    await expect(close()).resolves.toBeUndefined()
    expect(stderr()).toMatch(/^stopcopy: Cannot destroy the device of "[^\n]*thrower\.mjs": null\n$/)
  })

  it.each<ConfigurationValue>(['4000000000', 4_000_000_000n, true, -1])(
    'asks for no device whose memory of %s bytes may be above the limit',
    async (bytes) => {
      const path = module('unasked.mjs', {})
      const configuration = { 'memory.0.bytes': 4096, 'memory.1.bytes': bytes }
      seen.asked = 0
      const elsewhere = { type: 'a', version: 1, configuration, action: 'receive' } as const
      await expect(openModule(path, elsewhere, 8192)).rejects.toMatchObject({
        code: 'EINVAL',
        message:
          'Cannot receive the device: its memory region 1 is not declared by an integer of bytes, use a number',
      })
      expect(seen.asked).toBe(0)
    },
  )

  it('names a device, and says where it is, in plain and short words', async () => {
    const extras = `name: 'a\\u001b[31m' + 'b'.repeat(1000),
    describe: () => 'at\\n\\u202e\\u001b]0;x\\u0007' + 'c'.repeat(1000),`
    const opened = await openModule(module('steering.mjs', { extras }))
    expect(opened.name).toMatch(/^a \[31mb{194} \.\.\. of \S+$/)
    expect(opened.describe?.()).toMatch(/^at \]0;x c{190} \.\.\.$/)
    await opened.close()
  })
})
