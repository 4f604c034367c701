/**
 * A file as a sink: complete under its name, or not there at all.
 *
 * @module
 */

import { randomBytes } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { VfioError } from '../errors.ts'
import type { ByteSink } from '../transport/index.ts'
import { chunksAfter } from './chunks-after.ts'
import { attempt } from './node-error.ts'

/** A sink that writes a file; `abort` is also what a signal handler calls before it ends the process. */
export interface FileSink extends ByteSink {
  /** The name the file gets at the end. */
  readonly path: string
  /** Resolves when the file is there. */
  open(): Promise<void>
  /** Writes all chunks, in order. */
  write(chunks: Uint8Array[]): Promise<void>
  /** Makes the file durable and gives it its name. */
  close(): Promise<void>
  /** Removes what was written; what stood at `path` stays. */
  abort(reason?: unknown): Promise<void>
}

/**
 * Writes beside `path`, under a random name in the same directory, and renames on success: nobody sees half
 * a file. Closing makes it durable first; aborting removes it. What stood at `path` before is replaced at the
 * end and not before; through a symbolic link its target is.
 *
 * The file is created at once; what is wrong is told by `open` and by every later call: VfioErrors with the
 * system's errno, EINVAL when `path` is a directory, a pipe or a device, EEXIST never.
 *
 * @param options - `mode` of the new file, default 0o666, less the umask
 * @example
 * ```ts
 * const sink = fileSink('device.stopcopy')
 * process.once('SIGTERM', () => void sink.abort().then(() => process.exit(143)))
 * await save(device, sink)
 * ```
 */
export function fileSink(path: string, options: { mode?: number } = {}): FileSink {
  return new TemporaryFile(path, options.mode ?? 0o666)
}

interface OpenedFile {
  readonly target: string
  readonly temporary: string
  readonly handle: FileHandle
}

class TemporaryFile implements FileSink {
  readonly path: string
  readonly #opening: Promise<OpenedFile>
  /** The write or close under way, which an abort waits for; never rejects. */
  #busy: Promise<unknown> = Promise.resolve()
  #state: 'open' | 'closed' | 'aborted' = 'open'
  #aborting: Promise<void> | undefined

  constructor(path: string, mode: number) {
    this.path = path
    this.#opening = attempt(`create "${path}"`, () => createBeside(path, mode))
    // Told by the first call; until then it is no unhandled rejection.
    this.#opening.catch(() => {})
  }

  async open(): Promise<void> {
    await this.#opening
  }

  write(chunks: Uint8Array[]): Promise<void> {
    return this.#run(`write "${this.path}"`, async ({ handle }) => {
      let left = chunks.filter(({ length }) => length > 0)
      while (left.length > 0) {
        const { bytesWritten } = await handle.writev(left)
        left = chunksAfter(left, bytesWritten)
      }
    })
  }

  close(): Promise<void> {
    return this.#run(`finish "${this.path}"`, async ({ handle, temporary, target }) => {
      await handle.sync()
      await handle.close()
      await rename(temporary, target)
      this.#state = 'closed'
      await syncDirectory(dirname(target))
    })
  }

  abort(): Promise<void> {
    this.#aborting ??= this.#remove()
    return this.#aborting
  }

  async #remove(): Promise<void> {
    // A close under way may still succeed: then there is nothing to remove.
    if (this.#state === 'open') this.#state = 'aborted'
    await this.#busy
    const file = await this.#opening.catch(() => undefined)
    if (file === undefined || (this.#state as string) === 'closed') return
    await file.handle.close().catch(() => {})
    await attempt(`remove "${file.temporary}"`, () => rm(file.temporary, { force: true }))
  }

  #run(action: string, call: (file: OpenedFile) => Promise<void>): Promise<void> {
    const result = this.#opening.then(async (file) => {
      if (this.#state !== 'open') {
        throw new VfioError('EBADF', `Cannot ${action}: the sink is ${this.#state}, open a new one`)
      }
      return attempt(action, () => call(file))
    })
    this.#busy = result.catch(() => {})
    return result
  }
}

async function createBeside(path: string, mode: number): Promise<OpenedFile> {
  const target = await targetOf(path)
  // Short enough for file systems that allow 255 bytes, whatever the name is made of.
  const name = `.${basename(target).slice(0, 50)}.${randomBytes(8).toString('hex')}.tmp`
  const temporary = join(dirname(target), name)
  return { target, temporary, handle: await open(temporary, 'wx', mode) }
}

/** Where the file goes at the end; a rename would put a file in the place of a device such as /dev/null. */
async function targetOf(path: string): Promise<string> {
  let target: string
  try {
    target = await realpath(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path
    throw error
  }
  if ((await stat(target)).isFile()) return target
  throw new VfioError(
    'EINVAL',
    `Cannot create "${path}": it is no regular file, name one or write to it as a stream`,
  )
}

/** Makes the rename durable, where directories can be synced. */
async function syncDirectory(path: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, 'r')
    await handle.sync()
  } catch {
    // Windows and some network file systems refuse; the file itself is synced.
  } finally {
    await handle?.close()
  }
}
