/**
 * One port of an mtty, as the device keeps it and as the stream carries it: 36 bytes, verbatim.
 *
 * The live state *is* this record, so saving and loading are copies and pad bytes survive a
 * migration unread.
 *
 * ```text
 *  0             8           24     25     26      27     28        29    30        32    33         34        35
 *  | uart_reg[8] | fifo[16] | head | tail | count | dlab | overrun | pad | divisor | fcr | max fifo | trigger | pad |
 * ```
 *
 * @module
 */

/** Bytes of a port record. */
export const PORT_BYTES = 36

/** Bytes of the loop-back ring. */
export const FIFO_BYTES = 16

/** Byte offsets in a port record; `UART_REG` and `FIFO` are arrays, `DIVISOR` is a u16. */
export const PortField = {
  UART_REG: 0,
  FIFO: 8,
  HEAD: 24,
  TAIL: 25,
  COUNT: 26,
  DLAB: 27,
  OVERRUN: 28,
  DIVISOR: 30,
  FCR: 32,
  MAX_FIFO_SIZE: 33,
  TRIGGER_LEVEL: 34,
} as const

/** A port at power-on: all zero but for a 16-byte FIFO. */
export function powerOnPort(): Uint8Array {
  const record = new Uint8Array(PORT_BYTES)
  record[PortField.MAX_FIFO_SIZE] = FIFO_BYTES
  return record
}

/** Why a port record cannot be loaded. */
export interface PortRefusal {
  /** Byte offset of the offending field in the record. */
  readonly offset: number
  /** Such as "head is 200, wanted 0 to 15". */
  readonly reason: string
}

/** One range check: the values a byte of the record may have. */
interface ByteRule {
  readonly name: string
  readonly offset: number
  readonly accepts: (value: number) => boolean
  readonly wanted: string
}

const isBoolean = (value: number): boolean => value <= 1

const BYTE_RULES: readonly ByteRule[] = [
  { name: 'head', offset: PortField.HEAD, accepts: (value) => value < FIFO_BYTES, wanted: '0 to 15' },
  { name: 'tail', offset: PortField.TAIL, accepts: (value) => value < FIFO_BYTES, wanted: '0 to 15' },
  { name: 'count', offset: PortField.COUNT, accepts: (value) => value <= FIFO_BYTES, wanted: '0 to 16' },
  { name: 'dlab', offset: PortField.DLAB, accepts: isBoolean, wanted: '0 or 1' },
  { name: 'overrun', offset: PortField.OVERRUN, accepts: isBoolean, wanted: '0 or 1' },
  {
    name: 'max_fifo_size',
    offset: PortField.MAX_FIFO_SIZE,
    accepts: (value) => value === 1 || value === FIFO_BYTES,
    wanted: '1 or 16',
  },
  { name: 'intr_trigger_level', offset: PortField.TRIGGER_LEVEL, accepts: isBoolean, wanted: '0 or 1' },
]

/**
 * Range-checks a record that came from a stream (facts B.3, weakness 2: the Linux driver does not,
 * and an index of 255 then reaches past its ring). A count above max_fifo_size is legal: the FIFO
 * may be switched off with bytes queued.
 *
 * @returns the first field that is out of range, or undefined.
 */
export function findPortRefusal(record: Uint8Array): PortRefusal | undefined {
  for (const { name, offset, accepts, wanted } of BYTE_RULES) {
    const value = record[offset] ?? 0
    if (!accepts(value)) return { offset, reason: `${name} is ${value}, wanted ${wanted}` }
  }
  const head = record[PortField.HEAD] ?? 0
  const tail = record[PortField.TAIL] ?? 0
  const count = record[PortField.COUNT] ?? 0
  if ((head - tail - count) % FIFO_BYTES !== 0) {
    return {
      offset: PortField.COUNT,
      reason: `count is ${count}, but head ${head} and tail ${tail} are ${(head - tail + FIFO_BYTES) % FIFO_BYTES} apart`,
    }
  }
  return undefined
}
