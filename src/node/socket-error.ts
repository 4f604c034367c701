/**
 * What sockets fail with, as errors of this package.
 *
 * @module
 */

import { Errno, type ErrnoName, VfioError } from '../errors.ts'

/** The errno and what to say, by Node's code. */
const FAILURES: Readonly<Record<string, readonly [code: ErrnoName | 'UNKNOWN', reason: string]>> = {
  ECONNREFUSED: ['ECONNREFUSED', 'nobody listens there, start the other end first'],
  ECONNRESET: ['ECONNRESET', 'the other end gave up, see what it says'],
  ECONNABORTED: ['ECONNRESET', 'the connection was given up, start again'],
  EPIPE: ['EPIPE', 'the other end takes no more, see what it says'],
  ETIMEDOUT: ['ETIMEDOUT', 'the other end does not answer, check that it can be reached'],
  EADDRINUSE: ['EADDRINUSE', 'somebody else listens there, choose another address'],
  EADDRNOTAVAIL: ['EINVAL', 'this machine does not have that address, choose one of its own'],
  ENOENT: ['ENOENT', 'no such file or folder, check the path and that the other end listens'],
  ENOTDIR: ['ENOENT', 'a part of the path is a file, check the path'],
  ENOTFOUND: ['ENOENT', 'no such host, check the name'],
  EAI_AGAIN: ['EAGAIN', 'the name of the host cannot be looked up now, try again or use its address'],
  EACCES: ['EPERM', 'permission denied, choose an address you may use'],
  EPERM: ['EPERM', 'the system does not allow it, choose another address'],
}

/** Who listens makes the file: it is a folder that is missing. */
const NO_FOLDER = ['ENOENT', 'no such folder, check the path'] as const

/** A VfioError as it is; else one with the errno of a system error, EPERM or EPROTO of TLS, or EIO. */
export function socketError(error: unknown, action: string): VfioError {
  if (VfioError.is(error)) return error
  const { code = '', errno, syscall, message } = error as NodeJS.ErrnoException
  const options = { cause: error, ...(syscall === undefined ? {} : { syscall }) }
  const failure =
    code === 'ENOENT' && syscall !== 'connect'
      ? NO_FOLDER
      : Object.hasOwn(FAILURES, code)
        ? FAILURES[code]
        : tlsFailure(code, message)
  if (failure !== undefined) return new VfioError(failure[0], `Cannot ${action}: ${failure[1]}`, options)
  const text = `Cannot ${action}: ${message}, see the cause`
  if (Object.hasOwn(Errno, code)) return new VfioError(code as ErrnoName, text, options)
  return typeof errno === 'number'
    ? new VfioError('UNKNOWN', text, { ...options, errno })
    : new VfioError('EIO', text, options)
}

/** OpenSSL's verdicts on the other end's certificate, and what the other end said of ours. */
const REFUSED =
  /^(?:CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_|INVALID_(?:CA|PURPOSE)|PATH_LENGTH|HOSTNAME_MISMATCH|CRL_|ERR_TLS_CERT_ALTNAME)/
const REFUSED_OURS = /^ERR_SSL_.*(?:CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED|DECRYPT_ERROR)/

function tlsFailure(code: string, message: string): readonly ['EPERM' | 'EPROTO', string] | undefined {
  if (REFUSED.test(code)) {
    return [
      'EPERM',
      `the certificate of the other end is not trusted (${firstLine(message)}), check \`ca\` and the name`,
    ]
  }
  if (code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') {
    return ['EPERM', 'the other end showed no certificate, it needs `cert` and `key`']
  }
  if (REFUSED_OURS.test(code)) {
    return ['EPERM', 'the other end does not accept our certificate, give a `cert` and `key` that it trusts']
  }
  if (code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_')) {
    return ['EPROTO', `the other end does not speak TLS as we do (${firstLine(message)}), check both ends`]
  }
  return undefined
}

function firstLine(text: string): string {
  return (text.split('\n')[0] as string).trim()
}
