/**
 * The transports that are measured: where each listens, and how a program without stopcopy would use it.
 *
 * @module
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder for sockets, and a certificate for 127.0.0.1 that signs itself. */
export function openPlace() {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-bench-'))
  return {
    /** @param {string} kind @param {string} name */
    url: (kind, name) => (kind === 'unix' ? `unix:${join(folder, name)}` : `${kind}:127.0.0.1:0`),
    path: (name) => join(folder, name),
    /** Undefined where there is no openssl. */
    certificate: () => certificateIn(folder),
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function certificateIn(folder) {
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const words = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const names = ['-subj', '/CN=stopcopy bench', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  try {
    execFileSync('openssl', [...words, ...names, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  } catch {
    return undefined
  }
}

/** Why a kind cannot be measured here; undefined when it can. */
export async function whyNot(kind, certificate) {
  if (kind === 'tls') return certificate === undefined ? 'needs openssl' : undefined
  if (kind === 'ws') return webSocketsMissing()
  if (kind !== 'port') return undefined
  const web = await import('stopcopy/web')
  return 'messagePortDuplex' in web ? undefined : 'not built yet'
}

async function webSocketsMissing() {
  const { listen } = await import('stopcopy/node')
  try {
    const listener = await listen('ws:127.0.0.1:0', (connection) => void connection.cancel())
    await listener.close()
    return undefined
  } catch {
    return 'not built yet'
  }
}
