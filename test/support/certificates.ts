/** Certificates for one test file, made with the `openssl` command. @module */

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A certificate with its key, PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** An authority that signs certificates, in files of `directory`. */
export class TestAuthority {
  readonly cert: string
  readonly #directory: string
  readonly #name: string
  #serial = 0

  constructor(directory: string, name: string) {
    this.#directory = directory
    this.#name = name
    const { cert } = this.#make(name, ['-x509', '-days', '2'])
    this.cert = cert
  }

  /** @param names subject alternative names, such as `IP:127.0.0.1` */
  issue(names: string): Certificate {
    const name = `${this.#name}-${++this.#serial}`
    const request = this.#file(name, 'cert')
    const extensions = this.#file(name, 'ext')
    const { key } = this.#make(name, [])
    writeFileSync(extensions, `subjectAltName=${names}\n`)
    const signed = this.#file(name, 'signed')
    const [ca, caKey] = [this.#file(this.#name, 'cert'), this.#file(this.#name, 'key')]
    openssl(
      'x509',
      '-req',
      '-in',
      request,
      '-CA',
      ca,
      '-CAkey',
      caKey,
      '-set_serial',
      `${this.#serial}`,
      '-days',
      '2',
      '-extfile',
      extensions,
      '-out',
      signed,
    )
    return { cert: readFileSync(signed, 'utf8'), key }
  }

  #make(name: string, options: string[]): Certificate {
    const [cert, key] = [this.#file(name, 'cert'), this.#file(name, 'key')]
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      key,
      '-out',
      cert,
      ...options,
    )
    return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  }

  #file(name: string, kind: string): string {
    return join(this.#directory, `${name}.${kind}.pem`)
  }
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
