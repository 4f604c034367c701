/**
 * Certificates of `tls:` and `wss:` URLs, from the files that options name.
 *
 * @module
 */

import { readFile } from 'node:fs/promises'
import { Option } from 'commander'
import type { TlsOptions } from '../node/index.ts'
import { attempt } from '../node/node-error.ts'

/** Names of PEM files. */
export interface TlsFiles {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/** Reads them. @throws {@link VfioError} as the system says */
export async function readTls({ ca, cert, key }: TlsFiles): Promise<TlsOptions> {
  return {
    ...(ca === undefined ? {} : { ca: await pem(ca) }),
    ...(cert === undefined ? {} : { cert: await pem(cert) }),
    ...(key === undefined ? {} : { key: await pem(key) }),
  }
}

/** Of an end that connects. */
export interface ClientTlsFiles extends TlsFiles {
  readonly servername?: string
}

/** Reads them. @throws {@link VfioError} as the system says */
export async function clientTls(files: ClientTlsFiles): Promise<TlsOptions> {
  const { servername } = files
  return { ...(await readTls(files)), ...(servername === undefined ? {} : { servername }) }
}

/** The options of a command that connects. */
export function tlsOptions(): Option[] {
  return [
    new Option('--ca <file>', 'who may sign the certificate of the other end, PEM (tls:, wss:)'),
    new Option('--cert <file>', 'certificate of this end, PEM'),
    new Option('--key <file>', 'key of the certificate, PEM'),
    new Option('--servername <name>', 'the name that certificate must have; the host of the URL'),
  ]
}

function pem(path: string): Promise<Uint8Array> {
  return attempt(`read "${path}"`, () => readFile(path))
}
