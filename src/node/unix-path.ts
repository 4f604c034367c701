/**
 * The file of a UNIX socket: there only while somebody listens.
 *
 * @module
 */

import { randomBytes } from 'node:crypto'
import { chmod, lstat, rename, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { VfioError } from '../errors.ts'
import { socketError } from './socket-error.ts'

/** A name beside `path` to listen under until everything is ready. */
export function temporarySocket(path: string): string {
  return join(dirname(path), `.${randomBytes(6).toString('hex')}`)
}

/**
 * Throws unless a socket may be put at `path`: there is nothing, or a socket that nobody listens on any more.
 *
 * @throws {@link VfioError} EADDRINUSE somebody listens there; EEXIST it is something else; the system's errno
 */
export async function checkSocketPath(path: string): Promise<void> {
  const action = `listen on "unix:${path}"`
  try {
    if (!(await lstat(path)).isSocket()) {
      throw new VfioError(
        'EEXIST',
        `Cannot ${action}: a file is there that is no socket, choose another path`,
      )
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw socketError(error, action)
  }
  if (await isLive(path)) {
    throw new VfioError('EADDRINUSE', `Cannot ${action}: somebody else listens there, choose another path`)
  }
}

/** Puts the socket at its path, for this user alone. Returns what {@link removeSocket} needs. */
export async function placeSocket(temporary: string, path: string): Promise<{ path: string; inode: number }> {
  try {
    await chmod(temporary, 0o600)
    const { ino: inode } = await lstat(temporary)
    await rename(temporary, path)
    return { path, inode }
  } catch (error) {
    await rm(temporary, { force: true })
    throw socketError(error, `listen on "unix:${path}"`)
  }
}

/** Removes the socket, unless another one took its place. */
export async function removeSocket({ path, inode }: { path: string; inode: number }): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found?.ino === inode) await rm(path, { force: true })
}

function isLive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    // Anything else, such as a full backlog or no permission, comes from somebody who listens.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}
