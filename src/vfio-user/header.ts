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
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  const flags = view.getUint32(8, true)
  const type = flags & TYPE_MASK
  return {
    id: view.getUint16(0, true),
    command: view.getUint16(2, true),
    byteLength: view.getUint32(4, true),
    type: type === 0 ? 'command' : type === TYPE_REPLY ? 'reply' : 'other',
    noReply: (flags & NO_REPLY) !== 0,
    isError: (flags & ERROR) !== 0,
    errno: view.getUint32(12, true),
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
  const view = new DataView(bytes.buffer)
  view.setUint16(0, fields.id, true)
  view.setUint16(2, fields.command, true)
  view.setUint32(4, HEADER_BYTES + fields.payloadBytes, true)
  view.setUint32(8, flags, true)
  view.setUint32(12, errno, true)
  return bytes
}
