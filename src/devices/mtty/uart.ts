/**
 * The UART of one mtty port: eight registers, and a transmitter that loops back into a 16-byte ring.
 *
 * The model works on a {@link PORT_BYTES port record} and on nothing else; what leaves the chip is
 * the level of its interrupt output, which the device reads after each access. Nothing here moves
 * on its own.
 *
 * Interrupt identification follows the 16550 (one code, highest priority first), and the line is a
 * level: it rises when a condition appears and falls when the last one is served. What the register
 * IIR shows in profile exact is the Linux driver's: all codes ORed, see {@link Uart.read}.
 *
 * @module
 */

import { FIFO_BYTES, PortField } from './port-record.ts'

/** Registers of a port, and so bytes of its I/O BAR. */
export const UART_REGISTERS = 8

/** Register offsets. 0 to 2 have two names: read/write, or the divisor while DLAB is set. */
export const UartRegister = {
  /** RX when read, TX when written, DLL with DLAB. */
  DATA: 0,
  /** DLM with DLAB. */
  IER: 1,
  /** IIR when read, FCR when written. */
  IIR: 2,
  LCR: 3,
  MCR: 4,
  LSR: 5,
  MSR: 6,
  SCR: 7,
} as const

const IER_RECEIVED = 0x01
const IER_TRANSMITTER_EMPTY = 0x02
const IER_LINE_STATUS = 0x04
const IER_MODEM_STATUS = 0x08
const IER_IMPLEMENTED = 0x0f

const IIR_MODEM_STATUS = 0x00
const IIR_NONE = 0x01
const IIR_TRANSMITTER_EMPTY = 0x02
const IIR_RECEIVED = 0x04
const IIR_LINE_STATUS = 0x06
/** Both bits set tell a guest that the chip is a 16550. */
const IIR_16550 = 0xc0

const FCR_ENABLE = 0x01
const FCR_CLEAR = 0x02 | 0x04

const LCR_DLAB = 0x80

const MCR_DTR = 0x01
const MCR_RTS = 0x02
const MCR_AUTO_FLOW = 0x20

const LSR_DATA_READY = 0x01
const LSR_OVERRUN = 0x02
const LSR_TRANSMITTER_EMPTY = 0x20 | 0x40

const MSR_CTS = 0x01 | 0x10
const MSR_DSR_DCD = 0x02 | 0x20 | 0x80

/** Registers over a port record. */
export class Uart {
  /** The whole state; replaced content is seen at once. */
  readonly record: Uint8Array
  readonly #exact: boolean

  /**
   * @param exact - with the Linux driver's quirks: a full ring has head = tail and so looks empty to RX
   * and LSR, stuck until FCR clears it (facts B.3, weakness 5); and IIR shows all codes at once.
   */
  constructor(record: Uint8Array, exact: boolean) {
    this.record = record
    this.#exact = exact
  }

  /** Level of the interrupt output. */
  get interruptPending(): boolean {
    return this.#interruptIdentity() !== IIR_NONE
  }

  /** Reads the register at `offset`, 0 to 7; RX takes a byte out of the ring. */
  read(offset: number): number {
    switch (offset) {
      case UartRegister.DATA:
        return this.#dlab ? this.#field(PortField.DIVISOR) : this.#receive()
      case UartRegister.IER:
        return this.#dlab ? this.#field(PortField.DIVISOR + 1) : this.#register(offset) & IER_IMPLEMENTED
      case UartRegister.IIR:
        return (this.#exact ? this.#mergedIdentity() : this.#interruptIdentity()) | IIR_16550
      case UartRegister.LSR:
        return this.#lineStatus()
      case UartRegister.MSR:
        return this.#modemStatus()
      default:
        return this.#register(offset)
    }
  }

  /** Writes the register at `offset`, 0 to 7; LSR and MSR ignore it. */
  write(offset: number, value: number): void {
    switch (offset) {
      case UartRegister.DATA:
        // The divisor only ever gains bits: setting DLAB is what clears it.
        if (this.#dlab) this.#set(PortField.DIVISOR, this.#field(PortField.DIVISOR) | value)
        else this.#transmit(value)
        break
      case UartRegister.IER:
        if (this.#dlab) this.#set(PortField.DIVISOR + 1, this.#field(PortField.DIVISOR + 1) | value)
        else this.#set(offset, value)
        break
      case UartRegister.IIR:
        this.#controlFifo(value)
        break
      case UartRegister.LCR:
        this.#set(PortField.DLAB, value & LCR_DLAB ? 1 : 0)
        if (value & LCR_DLAB) this.record.fill(0, PortField.DIVISOR, PortField.DIVISOR + 2)
        this.#set(offset, value)
        break
      case UartRegister.LSR:
      case UartRegister.MSR:
        break
      default:
        this.#set(offset, value)
    }
  }

  #field(offset: number): number {
    return this.record[offset] ?? 0
  }

  #set(offset: number, value: number): void {
    this.record[offset] = value
  }

  #register(offset: number): number {
    return this.#field(PortField.UART_REG + offset)
  }

  get #dlab(): boolean {
    return this.#field(PortField.DLAB) !== 0
  }

  get #count(): number {
    return this.#field(PortField.COUNT)
  }

  get #isEmpty(): boolean {
    if (!this.#exact) return this.#count === 0
    return this.#field(PortField.HEAD) === this.#field(PortField.TAIL)
  }

  get #hasRoom(): boolean {
    return this.#count < this.#field(PortField.MAX_FIFO_SIZE)
  }

  #transmit(value: number): void {
    if (!this.#hasRoom) {
      this.#set(PortField.OVERRUN, 1)
      return
    }
    const head = this.#field(PortField.HEAD)
    this.#set(PortField.FIFO + head, value)
    this.#set(PortField.HEAD, (head + 1) % FIFO_BYTES)
    this.#set(PortField.COUNT, this.#count + 1)
    this.#set(PortField.OVERRUN, 0)
  }

  #receive(): number {
    if (this.#isEmpty) return 0
    const tail = this.#field(PortField.TAIL)
    this.#set(PortField.TAIL, (tail + 1) % FIFO_BYTES)
    this.#set(PortField.COUNT, this.#count - 1)
    return this.#field(PortField.FIFO + tail)
  }

  #controlFifo(value: number): void {
    this.#set(PortField.FCR, value)
    if (value & FCR_CLEAR) {
      this.#set(PortField.HEAD, 0)
      this.#set(PortField.TAIL, 0)
      this.#set(PortField.COUNT, 0)
    }
    this.#set(PortField.MAX_FIFO_SIZE, value & FCR_ENABLE ? FIFO_BYTES : 1)
    // Without a receive time-out a higher level would leave the last bytes unannounced.
    this.#set(PortField.TRIGGER_LEVEL, 1)
  }

  #lineStatus(): number {
    const overrun = this.#field(PortField.OVERRUN) ? LSR_OVERRUN : 0
    return overrun | (this.#isEmpty ? LSR_TRANSMITTER_EMPTY : LSR_DATA_READY)
  }

  #modemStatus(): number {
    const throttled = this.#register(UartRegister.MCR) & MCR_AUTO_FLOW && !this.#hasRoom
    return MSR_DSR_DCD | (throttled ? 0 : MSR_CTS)
  }

  #interruptIdentity(): number {
    const enabled = this.#register(UartRegister.IER)
    if (enabled & IER_LINE_STATUS && this.#field(PortField.OVERRUN)) return IIR_LINE_STATUS
    if (enabled & IER_RECEIVED && this.#count > 0) return IIR_RECEIVED
    if (enabled & IER_TRANSMITTER_EMPTY && this.#isEmpty) return IIR_TRANSMITTER_EMPTY
    const modemLines = this.#register(UartRegister.MCR) & (MCR_DTR | MCR_RTS)
    if (enabled & IER_MODEM_STATUS && modemLines) return IIR_MODEM_STATUS
    return IIR_NONE
  }

  /**
   * IIR as a running Linux 6.12 shows it: the codes of all conditions ORed. Data counts from the trigger
   * level on, which is 0 until FCR is first written; modem status has the code 0 and so never shows.
   */
  #mergedIdentity(): number {
    const enabled = this.#register(UartRegister.IER)
    const overrun = enabled & IER_LINE_STATUS && this.#field(PortField.OVERRUN) ? IIR_LINE_STATUS : 0
    const isReceived = this.#count >= this.#field(PortField.TRIGGER_LEVEL)
    const received = enabled & IER_RECEIVED && isReceived ? IIR_RECEIVED : 0
    const empty = enabled & IER_TRANSMITTER_EMPTY && this.#isEmpty ? IIR_TRANSMITTER_EMPTY : 0
    return overrun | received | empty || IIR_NONE
  }
}
