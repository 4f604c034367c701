import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fileSource, type FileSource, READ_AHEAD_BYTES } from '../../../src/node/file-source.ts'
import { codeOf } from '../../support/pending.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const root = temporaryDirectory()

/** Paths of this process's open files below `root`. */
function openFiles(): string[] {
  const paths: string[] = []
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      paths.push(readlinkSync(`/proc/self/fd/${fd}`))
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  return paths.filter((path) => path.startsWith(root))
}

function fileOf(name: string, byteLength: number): { path: string; bytes: Uint8Array } {
  const bytes = Uint8Array.from({ length: byteLength }, (_, index) => (index * 31 + (index >> 8)) & 255)
  const path = join(root, name)
  writeFileSync(path, bytes)
  return { path, bytes }
}

async function drain(source: FileSource, sizes: readonly number[]): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for (let turn = 0; ; turn++) {
    const dst = new Uint8Array(sizes[turn % sizes.length] as number)
    const count = await source.read(dst)
    if (count === 0) return Buffer.concat(pieces)
    pieces.push(dst.subarray(0, count))
  }
}

describe('fileSource', () => {
  it('gives the bytes of a file in any segmentation, and closes it at its end', async () => {
    for (const byteLength of [0, 1, READ_AHEAD_BYTES - 1, READ_AHEAD_BYTES, 3 * READ_AHEAD_BYTES + 17]) {
      const { path, bytes } = fileOf(`data-${byteLength}`, byteLength)
      for (const sizes of [[40, 262_144], [3 * READ_AHEAD_BYTES], [65_521, 1, 4096]]) {
        const source = fileSource(path)
        expect(source.byteLength).toBe(undefined)
        expect(Buffer.compare(await drain(source, sizes), bytes)).toBe(0)
        expect(source.byteLength).toBe(byteLength)
        expect(await source.read(new Uint8Array(1))).toBe(0)
      }
    }
    expect(openFiles()).toEqual([])
  })

  it('answers from what it read ahead without a promise', async () => {
    const { path } = fileOf('ahead', 1000)
    const source = fileSource(path)
    await source.read(new Uint8Array(1))
    expect(source.read(new Uint8Array(500))).toBe(500)
    expect(source.read(new Uint8Array(0))).toBe(0)
    await source.cancel()
  })

  it('reads what has no size, such as a kernel file', async () => {
    const source = fileSource('/proc/self/status')
    const text = (await drain(source, [100])).toString()
    expect(text).toContain('Name:')
    expect(readFileSync('/proc/self/status', 'utf8').split('\n')[0]).toBe(text.split('\n')[0])
  })

  it('gives nothing after a cancel, not even what was read ahead', async () => {
    const source = fileSource(fileOf('ahead', 1000).path)
    expect(await source.read(new Uint8Array(10))).toBe(10)
    await source.cancel()
    expect(await source.read(new Uint8Array(10))).toBe(0)
  })

  it('closes the file on cancel, and writes nothing into a read that was under way', async () => {
    const { path } = fileOf('canceled', 1000)
    const source = fileSource(path)
    const dst = new Uint8Array(10)
    const reading = source.read(dst)
    await source.cancel(new Error('enough'))
    expect(await reading).toBe(0)
    expect([...dst]).toEqual(Array.from({ length: 10 }, () => 0))
    await source.cancel()
    expect(await source.read(dst)).toBe(0)
    expect(openFiles()).toEqual([])
    await fileSource(join(root, 'absent')).cancel()
  })

  it('fails with the errno of the system', async () => {
    expect(await codeOf(() => fileSource(join(root, 'absent')).read(new Uint8Array(1)))).toBe('ENOENT')
    const directory = fileSource(root)
    await expect((async () => directory.read(new Uint8Array(1)))()).rejects.toMatchObject({
      name: 'VfioError',
      message: expect.stringContaining(`Cannot read "${root}": it is a folder, name a file`),
    })
    await directory.cancel()
  })
})
