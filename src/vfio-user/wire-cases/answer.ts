/**
 * What came back for a raw message, and how both are told in one line.
 *
 * @module
 */

import { Errno } from '../../errors.ts'
import { commandName } from '../command.ts'
import type { MessageHeader } from '../header.ts'

/** What came back. */
export type Answer =
  | { readonly kind: 'reply'; readonly header: MessageHeader; readonly payload: Uint8Array }
  | {
      readonly kind: 'error'
      readonly header: MessageHeader
      readonly payload: Uint8Array
      readonly errno: number
    }
  /** A message that answers nothing that was sent: wrong id, command or type. */
  | { readonly kind: 'stray'; readonly header: MessageHeader }
  /** The server ended the connection. */
  | { readonly kind: 'closed' }
  /** Nothing, for as long as was waited. */
  | { readonly kind: 'silent' }

/** A message to send: a command unless `flags` say otherwise, its size the true one unless `byteLength` does. */
export interface RawMessage {
  readonly command: number
  readonly payload: Uint8Array
  readonly id?: number | undefined
  readonly flags?: number | undefined
  readonly byteLength?: number | undefined
}

/** Bytes of a payload that are shown. */
const SHOWN_BYTES = 32

const NAMES = new Map<number, string>(Object.entries(Errno).map(([name, number]) => [number, name]))

/** The name of a positive errno, or `errno 13` where this package has none. */
export function errnoText(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`
}

/** The negative or positive number of a name. */
export function isErrno(errno: number, name: keyof typeof Errno): boolean {
  return errno === Errno[name]
}

/** An answer in one line. */
export function answerText(answer: Answer): string {
  switch (answer.kind) {
    case 'closed':
      return 'the connection ended'
    case 'silent':
      return 'no answer'
    case 'stray':
      return `a ${answer.header.type} with id ${answer.header.id} for ${commandName(answer.header.command)}`
    case 'error':
      return `${errnoText(answer.errno)}, ${answer.payload.length === 0 ? 'a bare header' : `with ${bytesText(answer.payload)}`}`
    default:
      return answer.payload.length === 0 ? 'success, a bare header' : `success, ${bytesText(answer.payload)}`
  }
}

/** A message in one line. */
export function messageText({ command, payload, flags, byteLength }: RawMessage): string {
  const odd = [
    ...(flags === undefined ? [] : [`flags 0x${flags.toString(16)}`]),
    ...(byteLength === undefined ? [] : [`size ${byteLength}`]),
  ]
  const said = odd.length === 0 ? '' : ` (header says ${odd.join(', ')})`
  return `${commandName(command)}${said}${payload.length === 0 ? '' : ` ${bytesText(payload)}`}`
}

/** `16 bytes: 10000000 03000000`. */
export function bytesText(bytes: Uint8Array): string {
  const shown = Array.from(bytes.subarray(0, SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )
  const words = shown.match(/.{1,8}/g)?.join(' ') ?? ''
  return `${bytes.length} bytes: ${words}${bytes.length > SHOWN_BYTES ? ' …' : ''}`
}
