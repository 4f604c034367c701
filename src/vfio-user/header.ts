/**
 * The 16 bytes before every message of vfio-user.
 *
 * ```text
 *  0    2         4      8       12      16
 *  | id | command | size | flags | errno |
 *                   flags: 0-3 type (0 command, 1 reply), 4 no reply wanted, 5 error
 * ```
 * Host endianness by the protocol, little on every host that this runs on. `size` counts the header, too.
 *
 * @module
 */

import { readU16, readU32, writeU32 } from './little-endian.ts'

/** Bytes of a header. */
export const HEADER_BYTES = 16

const TYPE_MASK = 0xf
const TYPE_REPLY = 1
const NO_REPLY = 0x10
const ERROR = 0x20

/** `struct vfio_user_header`, decoded. */
export interface MessageHeader {
  /** Chosen by who sends the command, and echoed in the reply; 0 to 65535. */
  readonly id: number
  /** See {@link VfioUserCommand}; any u16 that a peer sent. */
  readonly command: number
  /** Bytes of the message, this header included. */
  readonly byteLength: number
  /** 'other' for a type that is neither. */
  readonly type: 'command' | 'reply' | 'other'
  /** The sender of the command wants no reply. */
  readonly noReply: boolean
  /** A reply that says the command failed. */
  readonly isError: boolean
  /** Positive errno of an error reply; peers send 0 here, too. */
  readonly errno: number
}

/** Reads a header from the first {@link HEADER_BYTES} of `bytes`, whatever they are. */
export function decodeHeader(bytes: Uint8Array): MessageHeader {
  const flags = readU32(bytes, 8)
  const type = flags & TYPE_MASK
  return {
    id: readU16(bytes, 0),
    command: readU16(bytes, 2),
    byteLength: readU32(bytes, 4),
    type: type === 0 ? 'command' : type === TYPE_REPLY ? 'reply' : 'other',
    noReply: (flags & NO_REPLY) !== 0,
    isError: (flags & ERROR) !== 0,
    errno: readU32(bytes, 12),
  }
}

/** What a header is made of. */
export interface HeaderFields {
  readonly id: number
  readonly command: number
  /** Bytes behind the header. */
  readonly payloadBytes: number
}

/** The header of a command. */
export function commandHeader(fields: HeaderFields): Uint8Array<ArrayBuffer> {
  return encodeHeader(fields, 0, 0)
}

/** The header of a reply, which echoes id and command. */
export function replyHeader(fields: HeaderFields): Uint8Array<ArrayBuffer> {
  return encodeHeader(fields, TYPE_REPLY, 0)
}

/** The header of a reply that says the command failed, with a positive errno; by the protocol it stands alone. */
export function errorHeader(fields: HeaderFields, errno: number): Uint8Array<ArrayBuffer> {
  return encodeHeader(fields, TYPE_REPLY | ERROR, errno)
}

function encodeHeader(fields: HeaderFields, flags: number, errno: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES)
  const { id, command, payloadBytes } = fields
  bytes[0] = id
  bytes[1] = id >>> 8
  bytes[2] = command
  bytes[3] = command >>> 8
  writeU32(bytes, 4, HEADER_BYTES + payloadBytes)
  writeU32(bytes, 8, flags)
  writeU32(bytes, 12, errno)
  return bytes
}
