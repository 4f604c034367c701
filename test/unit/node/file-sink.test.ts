import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fileSink } from '../../../src/node/file-sink.ts'
import { codeOf } from '../../support/pending.ts'
import { temporaryDirectory } from './temporary-directory.ts'

const root = temporaryDirectory()
let count = 0
function directory(): string {
  const path = join(root, String(count++))
  mkdirSync(path)
  return path
}

describe('fileSink', () => {
  it('writes beside the target and renames on close', async () => {
    const dir = directory()
    const path = join(dir, 'device.stopcopy')
    const sink = fileSink(path)
    await sink.open()
    expect(readdirSync(dir)).toHaveLength(1)
    expect(readdirSync(dir)[0]).toMatch(/^\.device\.stopcopy\.[0-9a-f]{16}\.tmp$/)
    await sink.write([Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)])
    await sink.write([])
    await sink.write([Uint8Array.of(4)])
    await sink.close()
    expect(readdirSync(dir)).toEqual(['device.stopcopy'])
    expect([...readFileSync(path)]).toEqual([1, 2, 3, 4])
  })

  it('writes more chunks than one writev takes', async () => {
    const path = join(directory(), 'many')
    const sink = fileSink(path)
    const chunks = Array.from({ length: 3000 }, (_, index) => Uint8Array.of(index & 255))
    await sink.write(chunks)
    await sink.close()
    expect(Buffer.compare(readFileSync(path), Buffer.concat(chunks))).toBe(0)
  })

  it('makes an empty file when nothing was written', async () => {
    const path = join(directory(), 'empty')
    await fileSink(path).close()
    expect(statSync(path).size).toBe(0)
  })

  it('leaves nothing behind on abort: at once, after a write, during a write, and twice', async () => {
    const dir = directory()
    const path = join(dir, 'gone')
    await fileSink(path).abort()
    const written = fileSink(path)
    await written.write([new Uint8Array(100)])
    await written.abort(new Error('enough'))
    await written.abort()
    const busy = fileSink(path)
    const writing = busy.write([new Uint8Array(4_000_000)])
    const refused = codeOf(() => writing)
    await busy.abort()
    expect(await refused).toMatch(/^(ok|EBADF)$/)
    expect(readdirSync(dir)).toEqual([])
    expect(await codeOf(() => busy.write([new Uint8Array(1)]))).toBe('EBADF')
    expect(await codeOf(() => busy.close())).toBe('EBADF')
  })

  it('lets a close that is under way finish: an abort then finds nothing to remove', async () => {
    const dir = directory()
    const sink = fileSink(join(dir, 'closed'))
    await sink.write([Uint8Array.of(1)])
    const closing = sink.close()
    await new Promise((resolve) => setImmediate(resolve))
    await sink.abort()
    await closing
    expect(readdirSync(dir)).toEqual(['closed'])
  })

  it('keeps what stood there before until close, and for good on abort', async () => {
    const dir = directory()
    const path = join(dir, 'kept')
    writeFileSync(path, 'before')
    const aborted = fileSink(path)
    await aborted.write([Uint8Array.of(1)])
    expect(readFileSync(path, 'utf8')).toBe('before')
    await aborted.abort()
    expect(readdirSync(dir)).toEqual(['kept'])
    expect(readFileSync(path, 'utf8')).toBe('before')
    const closed = fileSink(path)
    await closed.write([Buffer.from('after')])
    await closed.close()
    await closed.abort()
    expect(readFileSync(path, 'utf8')).toBe('after')
  })

  it('replaces the target of a symbolic link, not the link', async () => {
    const dir = directory()
    const target = join(dir, 'target')
    writeFileSync(target, 'before')
    symlinkSync(target, join(dir, 'link'))
    const sink = fileSink(join(dir, 'link'))
    await sink.write([Buffer.from('after')])
    await sink.close()
    expect(readFileSync(target, 'utf8')).toBe('after')
    expect(readdirSync(dir).sort()).toEqual(['link', 'target'])
  })

  it('gives the file the mode it was asked for', async () => {
    const path = join(directory(), 'private')
    await fileSink(path, { mode: 0o600 }).close()
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('refuses what is no regular file and what cannot be created, with the errno of the system', async () => {
    const dir = directory()
    for (const [path, code] of [
      [dir, 'EINVAL'],
      ['/dev/null', 'EINVAL'],
      [join(dir, 'absent', 'file'), 'ENOENT'],
      ['/proc/no-such-file', 'ENOENT'],
    ] as const) {
      const sink = fileSink(path)
      expect([path, await codeOf(() => sink.open())]).toEqual([path, code])
      expect(await codeOf(() => sink.write([new Uint8Array(1)]))).toBe(code)
      expect(await codeOf(() => sink.close())).toBe(code)
      expect(await codeOf(() => sink.abort())).toBe('ok')
    }
    expect(readdirSync(dir)).toEqual([])
  })

  it('removes the temporary file after a close that failed', async () => {
    const dir = directory()
    const path = join(dir, 'taken')
    const sink = fileSink(path)
    await sink.write([Uint8Array.of(1)])
    // A directory appears under the name meanwhile, so the rename fails.
    mkdirSync(path)
    expect(await codeOf(() => sink.close())).not.toBe('ok')
    await sink.abort()
    expect(readdirSync(dir)).toEqual(['taken'])
  })
})
