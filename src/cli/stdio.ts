/**
 * Where a command reads and writes streams: a file, or `-` for stdin and stdout.
 *
 * @module
 */

import { createWriteStream, statSync } from 'node:fs'
import { fileSink, fileSource, nodeReadable, nodeWritable } from '../node/index.ts'
import type { ByteSink, ByteSource } from '../transport/index.ts'

/** Whether a name stands for stdin or stdout. */
export function isStdio(path: string): boolean {
  return path === '-'
}

/** The stream of that name to read. */
export function openSource(path: string): ByteSource {
  return isStdio(path) ? nodeReadable(process.stdin) : fileSource(path)
}

/** The stream of that name to write; a file appears under its name when it is complete. */
export function openSink(path: string): ByteSink {
  if (isStdio(path)) return STDOUT
  // Nothing can be renamed over /dev/null or a pipe without destroying it.
  const found = statSync(path, { throwIfNoEntry: false })
  const isStream = found !== undefined && !found.isFile() && !found.isDirectory()
  return isStream ? nodeWritable(createWriteStream(path)) : fileSink(path)
}

/**
 * stdout as a sink. It stays open at the end, as the process's last words may still go there, and what an
 * aborted save wrote cannot be taken back: the reader finds that the stream stops early.
 */
const STDOUT: ByteSink = {
  async write(chunks) {
    for (const chunk of chunks) {
      await new Promise<void>((resolve, reject) => {
        process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()))
      })
    }
  },
  close() {},
  abort() {},
}
