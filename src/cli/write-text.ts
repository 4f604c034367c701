/**
 * A small text file: written beside and renamed, durable, or not there.
 *
 * @module
 */

import { fileSink } from '../node/index.ts'

/** @throws {@link VfioError} as the system says; nothing of the file is left then */
export async function writeText(path: string, text: string, options: { mode?: number } = {}): Promise<void> {
  const sink = fileSink(path, options)
  try {
    await sink.write([new TextEncoder().encode(text)])
    await sink.close()
  } catch (error) {
    await sink.abort(error)
    throw error
  }
}
