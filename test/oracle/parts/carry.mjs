/**
 * A device carried from the guest's kernel to a stopcopy mtty, or back: registers and FIFO read on both sides,
 * streams compared byte by byte, cut in several ways, with and without PRE_COPY.
 *
 * @module
 */
import { toHex } from '../hex.mjs'
import { State } from '../card.mjs'
import { freshStream, numbersFrom } from '../streams.mjs'

/** Bytes of a read, and of a write. */
const CUTS = [
  { read: 1, write: 1 },
  { read: 7, write: 13 },
  { read: 13, write: 7 },
  { read: 16, write: 16 },
  { read: 24, write: 36 },
  { read: 96, write: 96 },
  { read: 2048, write: 5 },
]

/** What lies in the ports before the move: by the register writes that put it there. */
const CONTENTS = {
  recorded: [
    [0, 2, 0x01],
    [0, 4, 0x10],
    [0, 7, 0xa5],
    ...[...new TextEncoder().encode('hello-vfio')].map((byte) => [0, 0, byte]),
  ],
  'both ports, a ring that went round, a divisor': [
    [0, 2, 0x01],
    ...[...new TextEncoder().encode('0123456789')].map((byte) => [0, 0, byte]),
    ...Array.from({ length: 10 }, () => [0, 0]),
    ...[...new TextEncoder().encode('round and on')].map((byte) => [0, 0, byte]),
    [0, 7, 0x5a],
    [1, 3, 0x83],
    [1, 0, 0x0c],
    [1, 1, 0x01],
    [1, 3, 0x03],
    [1, 1, 0x05],
    [1, 7, 0xc3],
    [1, 2, 0x01],
    [1, 0, 0x77],
  ],
  random: randomContent(),
}

function randomContent() {
  const next = numbersFrom(96)
  const accesses = [
    [0, 2, 0x01],
    [1, 2, 0x01],
  ]
  for (let index = 0; index < 40; index++) {
    const port = next(2)
    const register = [0, 0, 0, 3, 4, 7, 1][next(7)]
    accesses.push([port, register, register === 3 ? next(128) : next(256)])
  }
  // Fewer than 16 bytes in a ring: a full one looks empty to the sample driver.
  return [...accesses, [0, 0], [0, 0], [1, 0], [1, 0]]
}

async function play(card, content) {
  for (const [port, register, value] of content) {
    if (port >= card.ports) continue
    if (value === undefined) await card.register(port, register)
    else await card.poke(port, register, value)
  }
}

/** Every register that reading does not change, and then the ring until it says it is empty. */
async function contentOf(card) {
  const answers = []
  for (let port = 0; port < card.ports; port++) {
    for (const register of [1, 3, 4, 5, 6, 7]) answers.push(await card.register(port, register))
    for (let count = 0; count < 17 && ((await card.register(port, 5)) & 1) === 1; count++) {
      answers.push(`rx ${await card.register(port, 0)}`)
    }
  }
  return answers.join(' ')
}

/** Moves what `source` holds to `destination`; says what is wrong, or nothing. */
async function move(source, destination, { cut, precopy, content }) {
  await source.load(freshStream(source.ports))
  await destination.load(freshStream(destination.ports))
  await play(source, content)

  const reading = await source.enter(precopy ? State.PRE_COPY : State.STOP_COPY)
  const writing = await destination.enter(State.RESUMING)
  const stream = []
  const carry = async () => {
    const { stream: bytes } = await source.readAll(reading, cut.read)
    const results = await destination.writeAll(writing, bytes, cut.write)
    if (results.some((result) => result <= 0)) throw new Error(`a write answered ${results.at(-1)}`)
    stream.push(...bytes)
  }
  await carry()
  if (precopy) {
    if (stream.length !== 24) return `PRE_COPY gave ${stream.length} bytes`
    await source.enter(State.STOP_COPY)
    await carry()
  }
  await destination.enter(State.RUNNING)
  await source.enter(State.STOP)

  // Two streams of what should be one content: before and after the move.
  const arrived = await destination.save()
  if (toHex(arrived) !== toHex(Uint8Array.from(stream))) {
    return `sent ${toHex(Uint8Array.from(stream))}, saved again ${toHex(arrived)}`
  }
  const [sourceContent, destinationContent] = [await contentOf(source), await contentOf(destination)]
  if (!sourceContent.includes('rx')) return 'there was nothing to carry'
  if (sourceContent !== destinationContent)
    return `registers ${sourceContent}, arrived as ${destinationContent}`
  return 'arrived'
}

function cases(direction) {
  return [1, 2].flatMap((ports) =>
    [true, false].flatMap((precopy) =>
      Object.entries(CONTENTS).flatMap(([name, content]) =>
        CUTS.map((cut) => ({
          name: `${direction}, ${ports} port(s), ${precopy ? 'PRE_COPY' : 'STOP_COPY'}, read by ${cut.read}, written by ${cut.write}: ${name}`,
          ports,
          profiles: ['exact', 'strict'],
          between: async (kernel, stopcopy) =>
            direction === 'kernel to stopcopy'
              ? move(kernel, stopcopy, { cut, precopy, content })
              : move(stopcopy, kernel, { cut, precopy, content }),
          expected: 'arrived',
        })),
      ),
    ),
  )
}

export const carry = {
  title: 'carried over',
  cases: [...cases('kernel to stopcopy'), ...cases('stopcopy to kernel')],
}
