/**
 * The control messages of a message duplex, as text; the table is in `message-duplex.ts`.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { MIN_MESSAGE_COST } from './message-channel.ts'

/** Version of the protocol. */
const VERSION = 1
/** Most characters of a reason. */
const REASON_CHARACTERS = 200
/** Most characters of a control message. */
const CONTROL_CHARACTERS = 256
/** Most bytes that a peer may offer; what is used is bounded by this side. */
const MAX_BYTES = 2 ** 40

/** What an end offers to receive. */
export interface MessageLimits {
  /** Credit at the start, in bytes. */
  readonly windowBytes: number
  readonly maxMessageBytes: number
}

/** A control message. */
export type MessageControl =
  | ({ readonly kind: 'open' | 'opened' } & MessageLimits)
  | { readonly kind: 'grant'; readonly byteLength: number }
  | { readonly kind: 'end' | 'ended' }
  | { readonly kind: 'abort'; readonly reason: string }

/** The text of a control message. */
export function encodeControl(control: MessageControl): string {
  switch (control.kind) {
    case 'open':
    case 'opened':
      return `${control.kind} ${VERSION} ${control.windowBytes} ${control.maxMessageBytes}`
    case 'grant':
      return `grant ${control.byteLength}`
    case 'abort':
      return `${control.kind} ${plainText(control.reason)}`
    default:
      return control.kind
  }
}

/**
 * The control message of a text.
 *
 * @throws {@link VfioError} EOPNOTSUPP for another version, EPROTO for anything malformed
 */
export function parseControl(text: string): MessageControl {
  if (text.length > CONTROL_CHARACTERS) throw malformed(text)
  const [kind, ...words] = text.split(' ')
  switch (kind) {
    case 'open':
    case 'opened':
      return { kind, ...parseLimits(text, words) }
    case 'grant':
      if (words.length !== 1) throw malformed(text)
      return { kind, byteLength: parseBytes(text, words[0], 1) }
    case 'end':
    case 'ended':
      if (words.length > 0) throw malformed(text)
      return { kind }
    case 'abort':
      return { kind, reason: plainText(words.join(' ')) }
    default:
      throw malformed(text)
  }
}

/** A reason as text for the other side. */
export function reasonText(reason: unknown): string {
  if (reason instanceof Error) return reason.message
  return typeof reason === 'string' ? reason : ''
}

function parseLimits(text: string, words: readonly string[]): MessageLimits {
  const [version, windowBytes, maxMessageBytes] = words
  if (version !== undefined && /^\d{1,9}$/.test(version) && Number(version) !== VERSION) {
    throw new VfioError(
      'EOPNOTSUPP',
      `Cannot connect: the other end speaks version ${version}, this one ${VERSION}, use the same release`,
    )
  }
  if (words.length !== 3 || version !== String(VERSION)) throw malformed(text)
  const limits = {
    windowBytes: parseBytes(text, windowBytes, MIN_MESSAGE_COST),
    maxMessageBytes: parseBytes(text, maxMessageBytes, MIN_MESSAGE_COST),
  }
  // The credit for a whole message must be there some time.
  if (limits.maxMessageBytes * 2 > limits.windowBytes) throw malformed(text)
  return limits
}

function parseBytes(text: string, word: string | undefined, least: number): number {
  const value = word !== undefined && /^[1-9]\d{0,15}$/.test(word) ? Number(word) : 0
  if (value < least || value > MAX_BYTES) throw malformed(text)
  return value
}

/** One short line: it may end up in a terminal. */
function plainText(text: string): string {
  return text.slice(0, REASON_CHARACTERS).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, ' ')
}

function malformed(text: string): VfioError {
  return new VfioError(
    'EPROTO',
    `Cannot read: control message "${plainText(text).slice(0, 40)}" is malformed, check the other end`,
  )
}
