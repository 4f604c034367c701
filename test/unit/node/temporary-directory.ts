/** A directory per test file that is gone afterwards. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

/** Makes the directory; call it once at the top of a test file. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'stopcopy-test-'))
  afterAll(() => rmSync(path, { recursive: true, force: true }))
  return path
}
