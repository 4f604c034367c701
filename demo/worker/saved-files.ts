/**
 * Files of the page's own, in the browser's origin private file system.
 *
 * @module
 */

import { type ByteSink, VfioError } from 'stopcopy'

/** What only the types of Workers have; those of pages are used here, too. */
interface SyncAccess {
  createSyncAccessHandle(): Promise<{
    write(bytes: Uint8Array, options: { at: number }): number
    truncate(byteLength: number): void
    flush(): void
    close(): void
  }>
}

/** The folder of saves. Needs a secure context: `https:` or `localhost`. */
export async function savesFolder(): Promise<FileSystemDirectoryHandle> {
  if (navigator.storage?.getDirectory === undefined) {
    throw new VfioError(
      'EOPNOTSUPP',
      'Cannot save: this browser has no files for this page, use https or localhost',
    )
  }
  const root = await navigator.storage.getDirectory()
  return root.getDirectoryHandle('saves', { create: true })
}

/** Writes a file; one that is not closed is removed again. Only in a Worker. */
export async function savedFileSink(name: string): Promise<ByteSink> {
  const folder = await savesFolder()
  const handle = await folder.getFileHandle(name, { create: true })
  const file = await (handle as unknown as SyncAccess).createSyncAccessHandle()
  let isOpen = true
  let at = 0
  const end = (): boolean => {
    if (!isOpen) return false
    isOpen = false
    file.close()
    return true
  }
  file.truncate(0)
  return {
    write(chunks) {
      for (const chunk of chunks) at += file.write(chunk, { at })
    },
    close() {
      file.flush()
      end()
    },
    async abort() {
      if (end()) await folder.removeEntry(name)
    },
  }
}

/** A file that was saved. */
export async function savedFile(name: string): Promise<File> {
  const folder = await savesFolder()
  return (await folder.getFileHandle(name)).getFile()
}
