import { describe, expect, it } from 'vitest'
import { findPortRefusal, powerOnPort } from '../../../src/devices/mtty/port-record.ts'
import { Uart } from '../../../src/devices/mtty/uart.ts'

const RX_TX = 0
const IER = 1
const IIR_FCR = 2
const LCR = 3
const MCR = 4
const LSR = 5
const MSR = 6
const SCR = 7

function uart(profile: 'strict' | 'exact' = 'strict'): Uart {
  return new Uart(powerOnPort(), profile === 'exact')
}

function send(port: Uart, text: string): void {
  for (const byte of new TextEncoder().encode(text)) port.write(RX_TX, byte)
}

function receive(port: Uart, count: number): string {
  return String.fromCharCode(...Array.from({ length: count }, () => port.read(RX_TX)))
}

describe('B.3 UART model', () => {
  it('is all zero at power-on but for max_fifo_size 16', () => {
    const record = powerOnPort()
    expect([...record.entries()].filter(([, value]) => value !== 0)).toEqual([[33, 16]])
  })

  it('loops transmitted bytes back in order', () => {
    const port = uart()
    send(port, 'hello-vfio')
    expect(receive(port, 10)).toBe('hello-vfio')
    expect(port.read(RX_TX)).toBe(0)
  })

  it('wraps head and tail modulo 16', () => {
    const port = uart()
    send(port, '0123456789ab')
    receive(port, 12)
    send(port, 'wrapped!')
    expect([port.record[24], port.record[25], port.record[26]]).toEqual([4, 12, 8])
    expect(receive(port, 8)).toBe('wrapped!')
  })

  it('SCR, LCR and MCR keep what is written', () => {
    const port = uart()
    for (const [register, value] of [
      [SCR, 0xa5],
      [LCR, 0x1b],
      [MCR, 0x10],
    ] as const) {
      port.write(register, value)
      expect(port.read(register)).toBe(value)
    }
  })

  it('LSR and MSR ignore writes', () => {
    const port = uart()
    const before = port.record.slice()
    port.write(LSR, 0xff)
    port.write(MSR, 0xff)
    expect(port.record).toEqual(before)
  })

  it('IER reads back its four implemented bits', () => {
    const port = uart()
    port.write(IER, 0xff)
    expect(port.read(IER)).toBe(0x0f)
  })

  it('setting DLAB clears the divisor, and divisor bytes are ORed in', () => {
    const port = uart()
    port.write(LCR, 0x80)
    port.write(RX_TX, 0x01)
    port.write(RX_TX, 0x0c)
    port.write(IER, 0x02)
    expect([port.read(RX_TX), port.read(IER)]).toEqual([0x0d, 0x02])
    expect(new DataView(port.record.buffer).getUint16(30, true)).toBe(0x020d)
    port.write(LCR, 0x80)
    expect([port.read(RX_TX), port.read(IER)]).toEqual([0, 0])
  })

  it('clearing DLAB keeps the divisor and gives back RX and IER', () => {
    const port = uart()
    send(port, 'x')
    port.write(LCR, 0x80)
    port.write(RX_TX, 0x0c)
    port.write(LCR, 0x03)
    expect(port.record[30]).toBe(0x0c)
    expect(port.record[27]).toBe(0)
    expect(receive(port, 1)).toBe('x')
  })

  it.each([
    { value: 0x01, size: 16 },
    { value: 0x00, size: 1 },
    { value: 0xc1, size: 16 },
  ])('FCR $value gives a FIFO of $size and trigger level 1', ({ value, size }) => {
    const port = uart()
    port.write(IIR_FCR, value)
    expect([port.record[32], port.record[33], port.record[34]]).toEqual([value, size, 1])
  })

  it.each([0x02, 0x04, 0x06])('FCR clear bits %i empty the ring', (clear) => {
    const port = uart()
    send(port, 'gone')
    port.write(IIR_FCR, 0x01 | clear)
    expect([port.record[24], port.record[25], port.record[26]]).toEqual([0, 0, 0])
    expect(port.read(LSR) & 0x01).toBe(0)
  })

  it('a write to a full ring sets overrun and is lost; the next successful write clears it', () => {
    const port = uart()
    send(port, '0123456789abcdef')
    expect(port.read(LSR) & 0x02).toBe(0)
    send(port, 'X')
    expect(port.read(LSR) & 0x02).toBe(0x02)
    expect(receive(port, 1)).toBe('0')
    expect(port.read(LSR) & 0x02).toBe(0x02)
    send(port, 'Y')
    expect(port.read(LSR) & 0x02).toBe(0)
    expect(receive(port, 16)).toBe('123456789abcdefY')
  })

  it('a FIFO switched off holds one byte, and keeps bytes queued before', () => {
    const port = uart()
    send(port, 'ab')
    port.write(IIR_FCR, 0x00)
    send(port, 'c')
    expect(port.read(LSR) & 0x02).toBe(0x02)
    expect(findPortRefusal(port.record)).toBeUndefined()
    expect(receive(port, 3)).toBe('ab\0')
  })

  it('LSR shows data ready or an empty transmitter', () => {
    const port = uart()
    expect(port.read(LSR)).toBe(0x60)
    send(port, 'x')
    expect(port.read(LSR)).toBe(0x01)
  })

  it('MSR shows a ready peer, and no CTS under auto flow control with a full ring', () => {
    const port = uart()
    expect(port.read(MSR)).toBe(0xb3)
    port.write(MCR, 0x20)
    send(port, '0123456789abcdef')
    expect(port.read(MSR)).toBe(0xa2)
  })

  it('B.3 weakness 5: exact takes a full ring for empty until FCR clears it', () => {
    const port = uart('exact')
    send(port, '0123456789abcdef')
    expect(port.read(LSR) & 0x61).toBe(0x60)
    expect(port.read(RX_TX)).toBe(0)
    expect(port.record[26]).toBe(16)
    port.write(IIR_FCR, 0x03)
    send(port, 'x')
    expect(receive(port, 1)).toBe('x')
  })

  it('strict reads a full ring', () => {
    const port = uart('strict')
    send(port, '0123456789abcdef')
    expect(port.read(LSR) & 0x61).toBe(0x01)
    expect(receive(port, 16)).toBe('0123456789abcdef')
    expect(port.read(LSR) & 0x61).toBe(0x60)
  })

  it('IIR names the highest pending interrupt and keeps the 16550 bits set', () => {
    const port = uart()
    expect(port.read(IIR_FCR)).toBe(0xc1)
    port.write(IER, 0x08)
    port.write(MCR, 0x01)
    expect(port.read(IIR_FCR)).toBe(0xc0)
    port.write(IER, 0x0a)
    expect(port.read(IIR_FCR)).toBe(0xc2)
    port.write(IER, 0x0f)
    send(port, '0')
    expect(port.read(IIR_FCR)).toBe(0xc4)
    send(port, '123456789abcdef')
    send(port, 'X')
    expect(port.read(IIR_FCR)).toBe(0xc6)
  })

  it('IIR in profile exact is what Linux 6.12.117 answered: all codes ORed', () => {
    const port = uart('exact')
    const answers = [port.read(IIR_FCR)]
    const steps: [number, number][] = [
      [IER, 0x0f],
      [0, 0x41],
    ]
    for (const [register, value] of steps) {
      port.write(register, value)
      answers.push(port.read(IIR_FCR))
    }
    port.read(0)
    answers.push(port.read(IIR_FCR))
    port.write(MCR, 0x03)
    answers.push(port.read(IIR_FCR))
    // From here on the trigger level is 1, and an empty ring is no data.
    port.write(IIR_FCR, 0x01)
    answers.push(port.read(IIR_FCR))
    port.write(IER, 0x08)
    answers.push(port.read(IIR_FCR))
    expect(answers).toEqual([0xc1, 0xc6, 0xc4, 0xc6, 0xc6, 0xc2, 0xc1])
  })
})
