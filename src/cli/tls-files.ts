/**
 * Certificates of `tls:` and `wss:` URLs, from the files that options name.
 *
 * @module
 */

import { readFile } from 'node:fs/promises'
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

function pem(path: string): Promise<Uint8Array> {
  return attempt(`read "${path}"`, () => readFile(path))
}
