/**
 * Frames of a migration link: a 64-byte header with a checksum of its own, then the payload.
 *
 * ```text
 *  0  u8[4]  magic "SCML"
 *  4  u16    framing version, 1
 *  6  u16    type, see `message-type.ts`
 *  8  u8[16] migration id
 * 24  u32    stream index (DATA, INITIAL_SENT, INITIAL_LOADED), connection (ATTACH), else 0
 * 28  u32    payload bytes
 * 32  u64    position in the stream (DATA, INITIAL_SENT), echo (PING, PONG), else 0
 * 40  u32    CRC-32C of the payload; 0 for DATA, whose stream carries its own checksums
 * 44  u32    epoch (INITIAL_SENT, INITIAL_LOADED), else 0
 * 48  u32[3] reserved, 0
 * 60  u32    CRC-32C of bytes 0 to 59
 * ```
 * All little endian.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { crc32cOfBytes } from '../../format/index.ts'
import { isMessageType, MessageType, messageName } from './message-type.ts'

/** Bytes of a frame's header. */
export const FRAME_HEADER_BYTES = 64
/** Most payload bytes of a DATA frame. */
export const MAX_DATA_BYTES: number = 1024 * 1024 + 64 * 1024
/** Most payload bytes of any other frame: what a reader must be ready to hold. */
export const MAX_MESSAGE_BYTES: number = 256 * 1024
/** Bytes of a migration id. */
export const ID_BYTES = 16

const MAGIC = 0x4c4d_4353
const FRAMING_VERSION = 1
const CHECKSUM_AT = 60

/** What a frame's header says. */
export interface FrameHeader {
  readonly type: MessageType
  /** 32 hexadecimal digits. */
  readonly id: string
  readonly index: number
  readonly payloadBytes: number
  readonly position: number
  readonly epoch: number
  /** Of the payload; not used for DATA. */
  readonly checksum: number
}

/** A message to send; what is left out is 0 or empty. */
export interface OutgoingMessage {
  readonly type: MessageType
  readonly index?: number
  readonly position?: number
  readonly epoch?: number
  readonly payload?: Uint8Array
}

/** The header and the payload of a message. */
export function encodeMessage(id: string, message: OutgoingMessage): Uint8Array[] {
  const { payload } = message
  const checksum = payload === undefined ? 0 : crc32cOfBytes(payload)
  const header = encodeHeader(id, message, payload?.length ?? 0, checksum)
  return payload === undefined ? [header] : [header, payload]
}

/** The header of a DATA frame of `payloadBytes` bytes from `position` of stream `index`. */
export function encodeDataHeader(
  id: string,
  index: number,
  position: number,
  payloadBytes: number,
): Uint8Array {
  return encodeHeader(id, { type: MessageType.DATA, index, position }, payloadBytes, 0)
}

/**
 * Reads a header of {@link FRAME_HEADER_BYTES} bytes.
 *
 * @throws {@link VfioError} EPROTO no frame of a migration link, an unknown type or a field out of range;
 * EBADMSG its checksum is wrong; EOPNOTSUPP another framing version; EMSGSIZE a payload above the limit
 */
export function decodeHeader(src: Uint8Array): FrameHeader {
  const view = new DataView(src.buffer, src.byteOffset, FRAME_HEADER_BYTES)
  if (view.getUint32(0, true) !== MAGIC)
    throw new VfioError(
      'EPROTO',
      'Cannot read the migration link: the peer does not speak the migration protocol, connect to a stopcopy receiver',
    )
  if (view.getUint32(CHECKSUM_AT, true) !== crc32cOfBytes(src.subarray(0, CHECKSUM_AT)))
    throw new VfioError(
      'EBADMSG',
      'Cannot read the migration link: a frame header has a wrong checksum, migrate again',
    )
  const version = view.getUint16(4, true)
  if (version !== FRAMING_VERSION)
    throw new VfioError(
      'EOPNOTSUPP',
      `Cannot read the migration link: its framing has version ${version}, use a release that speaks version ${FRAMING_VERSION}`,
    )
  const type = view.getUint16(6, true)
  const payloadBytes = view.getUint32(28, true)
  const position = view.getUint32(32, true) + view.getUint32(36, true) * 2 ** 32
  const reserved = view.getUint32(48, true) | view.getUint32(52, true) | view.getUint32(56, true)
  if (!isMessageType(type) || reserved !== 0 || position > Number.MAX_SAFE_INTEGER)
    throw new VfioError(
      'EPROTO',
      `Cannot read the migration link: a frame of type ${type} is malformed, migrate again`,
    )
  const limit = type === MessageType.DATA ? MAX_DATA_BYTES : MAX_MESSAGE_BYTES
  if (payloadBytes > limit)
    throw new VfioError(
      'EMSGSIZE',
      `Cannot read the migration link: ${messageName(type)} announces ${payloadBytes} bytes, at most ${limit} are taken`,
    )
  return {
    type,
    id: toHex(src.subarray(8, 8 + ID_BYTES)),
    index: view.getUint32(24, true),
    payloadBytes,
    position,
    epoch: view.getUint32(44, true),
    checksum: view.getUint32(40, true),
  }
}

/** @throws {@link VfioError} EBADMSG when the payload is not what the header's checksum says */
export function checkPayload(header: FrameHeader, payload: Uint8Array): void {
  if (crc32cOfBytes(payload) === header.checksum) return
  throw new VfioError(
    'EBADMSG',
    `Cannot read the migration link: ${messageName(header.type)} has a wrong checksum, migrate again`,
  )
}

/** A new random migration id. */
export function newMigrationId(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(ID_BYTES)))
}

/** Bytes as hexadecimal digits. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX_BYTES[byte]
  return text
}

/** Every frame has an id to read: digits come from a table. */
const HEX_BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
)

/** The bytes of hexadecimal digits, two for each; the text must be well-formed. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2)
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16)
  return bytes
}

/** Of the id that was encoded last: the frames of a migration have one. */
let encoded: { id: string; bytes: Uint8Array } = { id: '', bytes: new Uint8Array(ID_BYTES) }

function idBytes(id: string): Uint8Array {
  if (encoded.id !== id) encoded = { id, bytes: fromHex(id) }
  return encoded.bytes
}

function encodeHeader(
  id: string,
  { type, index = 0, position = 0, epoch = 0 }: OutgoingMessage,
  payloadBytes: number,
  checksum: number,
): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER_BYTES)
  const view = new DataView(header.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, FRAMING_VERSION, true)
  view.setUint16(6, type, true)
  header.set(idBytes(id), 8)
  view.setUint32(24, index, true)
  view.setUint32(28, payloadBytes, true)
  view.setUint32(32, position % 2 ** 32, true)
  view.setUint32(36, Math.floor(position / 2 ** 32), true)
  view.setUint32(40, checksum, true)
  view.setUint32(44, epoch, true)
  view.setUint32(CHECKSUM_AT, crc32cOfBytes(header.subarray(0, CHECKSUM_AT)), true)
  return header
}
