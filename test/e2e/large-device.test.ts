/** A device of 1.5 GiB, alone in its file: it is most of the suite's time. @module */

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { stopcopy, temporaryDirectory } from './command.ts'
import { differenceFromImage, writeImage } from './device-image.ts'

const MIB = 1024 * 1024

it(
  '1.5 GiB come back as they were, with less memory than 1.3 devices and 150 MiB',
  { timeout: 180_000 },
  async () => {
    const byteLength = 1536 * MIB
    const limit = 1.3 * byteLength + 150 * MIB
    const directory = temporaryDirectory()
    const [file, out, copy] = ['file', 'out', 'copy'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ]
    const run = async (...words: string[]): Promise<void> => {
      const { code, stderr, peakBytes } = await stopcopy(words, { measure: true })
      expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' })
      expect(peakBytes, words[0]).toBeGreaterThan(10 * MIB)
      expect(peakBytes, words[0]).toBeLessThan(limit)
    }
    await writeImage(file, byteLength)
    await run('save', 'bulk', '--memory', file, '-o', out)
    // What is not needed any more should not have to reach the disk.
    rmSync(file)
    await run('verify', out)
    await run('restore', 'bulk', out, '--memory-out', copy)
    rmSync(out)
    expect(await differenceFromImage(copy, byteLength)).toBe(-1)
  },
)
