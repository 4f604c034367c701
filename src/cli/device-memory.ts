/**
 * A file's bytes as device memory and back, in pieces: what is held besides the device is one piece.
 *
 * @module
 */

import type { FileHandle } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import type { BulkMemory } from '../devices/index.ts'
import { VfioError } from '../errors.ts'
import { attempt } from '../node/node-error.ts'
import type { ByteSink } from '../transport/index.ts'

/** Bytes copied at a time. */
const PIECE_BYTES = 1024 * 1024

/** What both directions take. */
export interface CopyOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (progress: { bytes: number; totalBytes: number }) => void
}

/** An open file whose size was read. */
export interface MemoryFile {
  readonly path: string
  readonly handle: FileHandle
  readonly byteLength: number
}

/**
 * Opens a file that becomes device memory; close its handle.
 *
 * @throws {@link VfioError} EINVAL when it is no regular file; else as the system says
 */
export async function openMemoryFile(path: string): Promise<MemoryFile> {
  const handle = await attempt(`read "${path}"`, () => open(path))
  try {
    const stat = await handle.stat()
    if (stat.isFile()) return { path, handle, byteLength: stat.size }
    throw new VfioError(
      'EINVAL',
      `Cannot take "${path}" as device memory: it is no regular file, copy it to one`,
    )
  } catch (error) {
    await handle.close()
    throw error
  }
}

/**
 * Fills device memory from a file of the same size.
 *
 * @throws {@link VfioError} EIO when the file became shorter meanwhile; the signal's reason when aborted
 */
export async function loadMemory(file: MemoryFile, memory: BulkMemory, options: CopyOptions): Promise<void> {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, memory.byteLength))
  for (let at = 0; at < memory.byteLength;) {
    options.signal.throwIfAborted()
    const wanted = Math.min(piece.length, memory.byteLength - at)
    const { bytesRead } = await file.handle.read(piece, 0, wanted, at)
    if (bytesRead === 0)
      throw new VfioError(
        'EIO',
        `Cannot take "${file.path}" as device memory: it became shorter while it was read, save it again`,
      )
    memory.write(at, piece.subarray(0, bytesRead))
    at += bytesRead
    options.onProgress?.({ bytes: at, totalBytes: memory.byteLength })
  }
}

/** Writes device memory to a sink, which it neither opens nor closes. Throws the signal's reason when aborted. */
export async function storeMemory(memory: BulkMemory, sink: ByteSink, options: CopyOptions): Promise<void> {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, memory.byteLength))
  for (let at = 0; at < memory.byteLength;) {
    options.signal.throwIfAborted()
    const bytes = piece.subarray(0, Math.min(piece.length, memory.byteLength - at))
    memory.read(at, bytes)
    await sink.write([bytes])
    at += bytes.length
    options.onProgress?.({ bytes: at, totalBytes: memory.byteLength })
  }
}
