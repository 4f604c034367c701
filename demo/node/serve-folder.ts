/**
 * A static web server for one folder, as any host of the page would be one.
 *
 * @module
 */

import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, resolve, sep } from 'node:path'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

/** A server and where it is. */
export interface ServedFolder {
  /** `http://127.0.0.1:4280/` */
  readonly url: string
  close(): Promise<void>
}

/** Serves the files of a folder to this machine, on a port or on any (0). */
export async function serveFolder(folder: string, port: number): Promise<ServedFolder> {
  const root = resolve(folder)
  const server = createServer((request, response) => {
    fileOf(root, request.url ?? '/').then(
      ({ type, bytes }) =>
        response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' }).end(bytes),
      () => response.writeHead(404).end(),
    )
  })
  await listening(server, port)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}

/** @throws Error when there is no such file below `root` */
async function fileOf(root: string, url: string): Promise<{ type: string; bytes: Uint8Array }> {
  const { pathname } = new URL(url, 'http://host')
  const path = resolve(root, `.${decodeURIComponent(pathname)}`, pathname.endsWith('/') ? 'index.html' : '')
  if (!path.startsWith(root + sep)) throw new Error('Cannot serve it: it is outside')
  return { type: TYPES[extname(path)] ?? 'application/octet-stream', bytes: await readFile(path) }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((ready, failed) => {
    server.once('error', failed)
    server.listen(port, '127.0.0.1', ready)
  })
}
