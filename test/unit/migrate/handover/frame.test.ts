import { describe, expect, it } from 'vitest'
import {
  checkPayload,
  decodeHeader,
  encodeDataHeader,
  encodeMessage,
  FRAME_HEADER_BYTES,
  fromHex,
  MAX_DATA_BYTES,
  MAX_MESSAGE_BYTES,
  newMigrationId,
  toHex,
} from '../../../../src/migrate/handover/frame.ts'
import { MessageType, messageName } from '../../../../src/migrate/handover/message-type.ts'
import { crc32cOfBytes } from '../../../../src/format/index.ts'
import { outcome } from '../../../support/vfio-error.ts'

const ID = '000102030405060708090a0b0c0d0e0f'

/** CRC-32C of bytes, little endian, in hexadecimal digits. */
function checksum(bytes: Uint8Array): string {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, crc32cOfBytes(bytes), true)
  return toHex(out)
}

/** A header with one field changed and its checksum made right again. */
function patched(change: (view: DataView) => void): Uint8Array {
  const header = encodeDataHeader(ID, 1, 2, 3)
  const view = new DataView(header.buffer)
  change(view)
  view.setUint32(60, crc32cOfBytes(header.subarray(0, 60)), true)
  return header
}

describe('frames', () => {
  it('stand byte for byte as the README draws them', () => {
    const [header, payload] = encodeMessage(ID, {
      type: MessageType.INITIAL_SENT,
      index: 2,
      position: 0x0102_0304_0506,
      epoch: 7,
      payload: Uint8Array.of(1, 2, 3),
    })
    expect(payload).toEqual(Uint8Array.of(1, 2, 3))
    const text = toHex(header!)
    expect(text.slice(0, 120)).toBe(
      `53434d4c01000600${ID}02000000030000000605040302010000${checksum(payload!)}07000000${'0'.repeat(24)}`,
    )
    expect(text.slice(120)).toBe(checksum(header!.subarray(0, 60)))
    expect(header!.length).toBe(FRAME_HEADER_BYTES)
  })

  it('come back as they were, for every type', () => {
    for (const type of Object.values(MessageType)) {
      if (type === MessageType.DATA) continue
      const payload = new Uint8Array([type, 9])
      const [header] = encodeMessage(ID, { type, index: 4, position: 5, epoch: 6, payload })
      const frame = decodeHeader(header!)
      expect(frame).toMatchObject({ type, id: ID, index: 4, position: 5, epoch: 6, payloadBytes: 2 })
      checkPayload(frame, payload)
      expect(outcome(() => checkPayload(frame, Uint8Array.of(type, 8)))).toBe('EBADMSG')
    }
  })

  it('are refused for every flipped bit', () => {
    const header = encodeDataHeader(ID, 1, 2, 3)
    for (let bit = 0; bit < FRAME_HEADER_BYTES * 8; bit++) {
      const damaged = header.slice()
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      expect(outcome(() => decodeHeader(damaged))).toBe(bit < 32 ? 'EPROTO' : 'EBADMSG')
    }
  })

  it.each([
    ['another framing version', (view: DataView) => view.setUint16(4, 2, true), 'EOPNOTSUPP'],
    ['type 0', (view: DataView) => view.setUint16(6, 0, true), 'EPROTO'],
    ['a type this release does not know', (view: DataView) => view.setUint16(6, 18, true), 'EPROTO'],
    ['a reserved field that is set', (view: DataView) => view.setUint32(52, 1, true), 'EPROTO'],
    ['a position above 2^53', (view: DataView) => view.setBigUint64(32, 2n ** 53n, true), 'EPROTO'],
    ['too much data', (view: DataView) => view.setUint32(28, MAX_DATA_BYTES + 1, true), 'EMSGSIZE'],
    ['as much data as may be', (view: DataView) => view.setUint32(28, MAX_DATA_BYTES, true), 'ok'],
    [
      'a message that is too long',
      (view: DataView) => {
        view.setUint16(6, MessageType.HELLO, true)
        view.setUint32(28, MAX_MESSAGE_BYTES + 1, true)
      },
      'EMSGSIZE',
    ],
  ])('with %s: %s', (_name, change, code) => {
    expect(outcome(() => decodeHeader(patched(change)))).toBe(code)
  })

  it('have ids of 128 random bits', () => {
    const ids = new Set(Array.from({ length: 100 }, newMigrationId))
    expect(ids.size).toBe(100)
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(toHex(fromHex(ID))).toBe(ID)
  })
})

describe('messageName', () => {
  it('names types, and numbers that are none', () => {
    expect(messageName(10)).toBe('COMMIT')
    expect(messageName(99)).toBe('type 99')
  })
})
