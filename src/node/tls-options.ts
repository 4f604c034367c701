/**
 * Certificates of both ends of a TLS connection.
 *
 * @module
 */

import { isIP } from 'node:net'
import { checkServerIdentity, type ConnectionOptions, type TlsOptions as ServerOptions } from 'node:tls'
import { VfioError } from '../errors.ts'

/** PEM text or bytes, one or several. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[]

/** Certificates, in PEM. */
export interface TlsOptions {
  /** Who may sign the other end's certificate. Default when connecting: the authorities Node knows. */
  readonly ca?: Pem | undefined
  /** Our own certificate, with the chain it needs. */
  readonly cert?: Pem | undefined
  /** Its private key. */
  readonly key?: Pem | undefined
  /** What the key is encrypted with. */
  readonly passphrase?: string | undefined
  /** The name the other end's certificate must have; default: the host of the URL. Connecting only. */
  readonly servername?: string | undefined
  /** Refuse who shows no certificate signed by `ca` (mutual TLS). Listening only. */
  readonly requestClientCert?: boolean | undefined
}

/** What `tls.connect` takes. The certificate is checked whatever the environment says. */
export function clientTls(options: TlsOptions, host: string): ConnectionOptions {
  const name = options.servername ?? host
  return {
    ...certificates(options),
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    // An address is not for the handshake, but the certificate must have it.
    ...(isIP(name) === 0 ? { servername: name } : {}),
  }
}

/** What a server takes. @throws {@link VfioError} EINVAL when it could not serve, or would let anybody in */
export function serverTls(options: TlsOptions, url: string): ServerOptions {
  const requestCert = options.requestClientCert === true
  if (options.cert === undefined || options.key === undefined) {
    throw new VfioError(
      'EINVAL',
      `Cannot listen on "${url}": it has no certificate, give \`cert\` and \`key\``,
    )
  }
  if (requestCert && options.ca === undefined) {
    throw new VfioError('EINVAL', `Cannot listen on "${url}": no client is trusted, give their \`ca\``)
  }
  return { ...certificates(options), requestCert, rejectUnauthorized: requestCert, minVersion: 'TLSv1.2' }
}

type Certificates = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'passphrase'>

function certificates({ ca, cert, key, passphrase }: TlsOptions): Certificates {
  return {
    ...(ca === undefined ? {} : { ca: pem(ca) }),
    ...(cert === undefined ? {} : { cert: pem(cert) }),
    ...(key === undefined ? {} : { key: pem(key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
  }
}

function pem(value: Pem): (string | Buffer)[] {
  return [value].flat().map((part) => (typeof part === 'string' ? part : Buffer.from(part)))
}
