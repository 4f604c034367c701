/**
 * The UART behind the stream: the same register accesses on both sides, every read compared, then the saved
 * streams compared byte by byte.
 *
 * @module
 */
import { toHex } from '../hex.mjs'
import { freshStream, numbersFrom } from '../streams.mjs'

const SEQUENCES = 24
const ACCESSES = 60

const short = (number) => (number < 0 ? String(number) : number.toString(16).padStart(2, '0'))

/** Plays accesses `[port, register, value]`, a read where there is no value; then saves. */
async function play(card, accesses) {
  await card.load(freshStream(card.ports))
  const answers = []
  for (const [port, register, value] of accesses) {
    if (value !== undefined) await card.poke(port, register, value)
    else answers.push(`${port}.${register}=${short(await card.register(port, register))}`)
  }
  return `${answers.join(' ')} stream ${toHex(await card.save())}`
}

const writes = (text) => [...new TextEncoder().encode(text)].map((byte) => [0, 0, byte])
const readBack = (count) => Array.from({ length: count }, () => [0, 0])
const all = (port) => [1, 2, 3, 4, 5, 6, 7].map((register) => [port, register])

/** Random accesses; values have few bits more often than many, so that modes are entered and left. */
function randomAccesses(seed) {
  const next = numbersFrom(seed)
  return Array.from({ length: ACCESSES }, () => {
    const port = next(2)
    const register = next(3) === 0 ? 0 : next(8)
    if (next(2) === 0) return [port, register]
    const value = [next(256), 1 << next(8), next(4), 0][next(4)]
    return [port, register, value]
  })
}

/** All sources on, then each condition in turn: what IIR says. */
const identification = [
  [0, 1, 0x0f],
  [0, 2],
  [0, 0, 0x41],
  [0, 2],
  [0, 0],
  [0, 2],
  [0, 4, 0x03],
  [0, 2],
  [0, 2, 0x01],
  [0, 2],
  [0, 1, 0x08],
  [0, 2],
  [0, 1, 0x00],
  [0, 2],
]

export const registers = {
  title: 'registers and FIFO',
  cases: [
    { name: 'every register at power-on', run: (card) => play(card, [...all(0), ...all(1)]) },
    {
      name: 'ten bytes through the ring',
      run: (card) => play(card, [[0, 2, 1], ...writes('hello-vfio'), [0, 5], ...readBack(11), [0, 5]]),
    },
    {
      name: 'a ring that goes round',
      run: (card) =>
        play(card, [
          [0, 2, 1],
          ...writes('0123456789ab'),
          ...readBack(12),
          ...writes('cdefghij'),
          ...readBack(9),
        ]),
    },
    {
      name: 'a full ring: overrun, and looks empty until it is cleared',
      run: (card) =>
        play(card, [
          [0, 2, 1],
          ...writes('0123456789abcdef'),
          [0, 5],
          ...readBack(2),
          ...writes('X'),
          [0, 5],
          [0, 2, 7],
          [0, 5],
        ]),
    },
    {
      name: 'FIFO off: one byte, then overrun',
      run: (card) => play(card, [[0, 2, 0], ...writes('ab'), [0, 5], [0, 0], [0, 5], ...writes('c'), [0, 5]]),
    },
    {
      name: 'FIFO turned off with bytes in it',
      run: (card) =>
        play(card, [[0, 2, 1], ...writes('abcd'), [0, 2, 0], ...writes('e'), [0, 5], ...readBack(5), [0, 5]]),
    },
    {
      name: 'trigger levels',
      run: (card) => play(card, [[0, 2, 0xc1], ...writes('a'), [0, 2, 0x41], [0, 2, 0x81]]),
    },
    {
      name: 'divisor latch: ORed in, cleared by setting DLAB',
      run: (card) =>
        play(card, [
          [0, 3, 0x80],
          [0, 0, 0x0c],
          [0, 1, 0x01],
          [0, 0],
          [0, 1],
          [0, 0, 0x03],
          [0, 0],
          [0, 3, 0x83],
          [0, 0],
          [0, 3, 0x03],
          [0, 1],
        ]),
    },
    {
      name: 'modem status with automatic flow control',
      run: (card) =>
        play(card, [
          [0, 4, 0x22],
          [0, 6],
          [0, 2, 1],
          ...writes('0123456789abcdef'),
          [0, 6],
          [0, 4, 0],
          [0, 6],
        ]),
    },
    {
      name: 'writes to LSR and MSR',
      run: (card) =>
        play(card, [
          [0, 5, 0xff],
          [0, 6, 0xff],
          [0, 5],
          [0, 6],
        ]),
    },
    {
      name: 'interrupt identification with several sources',
      run: (card) => play(card, identification),
    },
    ...Array.from({ length: SEQUENCES }, (_, index) => ({
      name: `${ACCESSES} random accesses, seed ${index + 1}`,
      run: (card) => play(card, randomAccesses(index + 1)),
    })),
  ],
}
