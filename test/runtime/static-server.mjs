/** A static host as any: files by their names. The first folder of a path chooses the policy they come with. */

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
}

/** What makes a page cross-origin isolated, so that it has SharedArrayBuffer. */
export const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
}

const POLICIES = {
  plain: {},
  isolated: ISOLATED,
  // No 'wasm-unsafe-eval'.
  forbidden: { 'content-security-policy': "default-src 'self'; img-src data:" },
}

/** Serves `root` below `${url}/plain/`, `${url}/isolated/` and `${url}/forbidden/` until it is closed. */
export async function serveStatic(root) {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost')
    const [, policy, ...rest] = pathname.split('/')
    const path = normalize(`/${rest.join('/')}`)
    const body = await readFile(join(root, path)).catch(() => undefined)
    const type = TYPES[extname(path)] ?? 'application/octet-stream'
    // Browsers ask for an icon by themselves; no other file may be missing.
    if (body === undefined) response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end()
    else response.writeHead(200, { 'content-type': type, ...POLICIES[policy] }).end(body)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }
}
