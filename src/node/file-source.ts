/**
 * A file as a source, read ahead.
 *
 * Reads land in buffers of this source and are copied into the window: a read of the operating system cannot
 * be stopped once it began, and a window may become the memory of a running device at any moment. The copy
 * costs less than it gains: windows are as small as the stream's sections, reads are not, and the next buffer
 * fills while the device verifies what it got (twice the speed of reads into windows of 256 KiB).
 *
 * @module
 */

import { type FileHandle, open } from 'node:fs/promises'
import type { Awaitable } from '../errors.ts'
import type { ByteSource } from '../transport/index.ts'
import { attempt } from './node-error.ts'

/** Bytes of each of the two buffers of a source. */
export const READ_AHEAD_BYTES: number = 1024 * 1024

/** A source that reads a file; `cancel` closes it, and so does its end. */
export interface FileSource extends ByteSource {
  /** The file's name. */
  readonly path: string
  /** Closes the file. */
  cancel(reason?: unknown): Promise<void>
}

/**
 * Reads the file at `path` from its start, or a pipe or device from where it is. It is opened by the first
 * read; `byteLength` is known from then on, for a regular file.
 *
 * Reading throws VfioErrors with the system's errno, ENOENT where there is no such file.
 */
export function fileSource(path: string): FileSource {
  return new ReadAheadFile(path)
}

class ReadAheadFile implements FileSource {
  readonly path: string
  #opening: Promise<FileHandle> | undefined
  #byteLength: number | undefined
  /** What was read and not taken, in one of the buffers, while the other one fills. */
  #ready: Uint8Array = new Uint8Array(0)
  #ahead: Promise<Uint8Array> | undefined
  #spare: Uint8Array[] = []
  #isOver = false

  constructor(path: string) {
    this.path = path
  }

  get byteLength(): number | undefined {
    return this.#byteLength
  }

  read(dst: Uint8Array): Awaitable<number> {
    return this.#ready.length > 0 || dst.length === 0 ? this.#take(dst) : this.#next(dst)
  }

  async cancel(): Promise<void> {
    this.#isOver = true
    this.#ready = new Uint8Array(0)
    const file = await this.#opening?.catch(() => undefined)
    await this.#ahead?.catch(() => {})
    await file?.close()
    this.#opening = undefined
  }

  async #next(dst: Uint8Array): Promise<number> {
    if (this.#isOver) return 0
    this.#ahead ??= this.#readInto(new Uint8Array(READ_AHEAD_BYTES))
    const filled = await this.#ahead
    // Cancelled meanwhile: `dst` is no longer ours.
    if (this.#isOver) return 0
    if (filled.length === 0) {
      await this.cancel()
      return 0
    }
    this.#ready = filled
    this.#ahead = this.#readInto(this.#spare.pop() ?? new Uint8Array(READ_AHEAD_BYTES))
    this.#ahead.catch(() => {})
    return this.#take(dst)
  }

  #take(dst: Uint8Array): number {
    const bytes = this.#ready.subarray(0, dst.length)
    dst.set(bytes)
    this.#ready = this.#ready.subarray(bytes.length)
    if (this.#ready.length === 0 && bytes.length > 0)
      this.#spare = [new Uint8Array(bytes.buffer as ArrayBuffer)]
    return bytes.length
  }

  #readInto(buffer: Uint8Array): Promise<Uint8Array> {
    return attempt(`read "${this.path}"`, async () => {
      this.#opening ??= this.#open()
      const handle = await this.#opening
      // From where the file stands: pipes and terminals have no positions.
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null)
      return buffer.subarray(0, bytesRead)
    })
  }

  async #open(): Promise<FileHandle> {
    const handle = await open(this.path, 'r')
    const stats = await handle.stat()
    if (stats.isFile()) this.#byteLength = stats.size
    return handle
  }
}
