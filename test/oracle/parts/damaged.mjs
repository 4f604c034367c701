/**
 * Damaged streams, written in several ways: every result, whether they load, and what is in the device then.
 * The kernel loads much that it should not; profile exact follows it but for the range checks, strict follows
 * the uAPI.
 *
 * Nothing here makes the guest's kernel use an index it loaded unchecked: no data register is touched before a
 * sound stream was loaded over it.
 *
 * @module
 */
import { toHex } from '../hex.mjs'
import { State } from '../card.mjs'
import { freshStream, HEADER_BYTES, patched, PORT_BYTES, PORT_FIELDS } from '../streams.mjs'

const PIECES = [1, 7, 24, 30, 96]

const field = (port, name) => HEADER_BYTES + port * PORT_BYTES + PORT_FIELDS[name]

/** A stream other than what a fresh card holds, so that "loaded" can be told from "not loaded". */
const SOUND = patched(freshStream(2), { [HEADER_BYTES + 7]: 0xa5, [HEADER_BYTES + PORT_BYTES + 7]: 0x5a })

/** Streams whose header a card with two ports must not accept. */
const HEADERS = {
  'magic, first byte': { 0: 0xff },
  'magic, last byte': { 7: 0 },
  'major version 2': { 8: 2 },
  'major version 0': { 8: 0 },
  'minor version 1': { 12: 1 },
  'one port announced': { 16: 1 },
  'no port announced': { 16: 0 },
  'a flag': { 20: 1 },
  'the highest flag': { 23: 0x80 },
}

/** Port fields that no device can hold. */
const FIELDS = {
  'head 16': { [field(0, 'head')]: 16 },
  'head 255': { [field(0, 'head')]: 255 },
  'tail 16 of port 1': { [field(1, 'tail')]: 16 },
  'tail 255': { [field(0, 'tail')]: 255 },
  'count 17': { [field(0, 'count')]: 17, [field(0, 'head')]: 1 },
  'count 3 of head 2': { [field(1, 'count')]: 3, [field(1, 'head')]: 2 },
  'head and tail apart, count 0': { [field(0, 'head')]: 2 },
  'overrun 2': { [field(0, 'overrun')]: 2 },
  'dlab 255': { [field(1, 'dlab')]: 255 },
  'fifo of 0 bytes': { [field(0, 'maxFifoSize')]: 0 },
  'fifo of 255 bytes': { [field(0, 'maxFifoSize')]: 255 },
  'trigger level 14': { [field(0, 'triggerLevel')]: 14 },
}

/** Unusual, and legal. */
const LEGAL = {
  'a full ring': { [field(0, 'count')]: 16, [field(0, 'head')]: 5, [field(0, 'tail')]: 5 },
  'count above the fifo size': {
    [field(0, 'count')]: 4,
    [field(0, 'head')]: 4,
    [field(0, 'maxFifoSize')]: 1,
  },
  'pad bytes': { [HEADER_BYTES + 29]: 0xaa, [HEADER_BYTES + 35]: 0x55 },
  'nothing changed': {},
}

/** Writes on after failures, leaves RESUMING, and looks at what is there; then leaves a sound device. */
async function feed(card, stream, piece, after = async () => '') {
  await card.load(freshStream(2))
  const fd = await card.enter(State.RESUMING)
  const results = await card.writeAll(fd, stream, piece, { stop: false })
  const { result } = await card.set(State.STOP)
  const state = await card.state()
  const more = await after(card, fd)
  await card.reset()
  const held = toHex(await card.save())
  await card.load(freshStream(2))
  return `writes ${summary(results)} STOP=${result} state=${state}${more} holds ${held}`
}

/** Results in a row that are the same number of bytes are not worth a line each. */
function summary(results) {
  const runs = []
  for (const result of results) {
    const last = runs.at(-1)
    if (last?.result === result) last.count++
    else runs.push({ result, count: 1 })
  }
  return runs.map(({ result, count }) => (count === 1 ? `${result}` : `${count}*${result}`)).join(',')
}

function damage(kind, changes, differs) {
  return Object.entries(changes).flatMap(([name, change]) =>
    PIECES.map((piece) => ({
      name: `${kind}: ${name}, by ${piece}`,
      profiles: ['exact', 'strict'],
      differs,
      run: (card) => feed(card, patched(SOUND, change), piece),
    })),
  )
}

/** Cut short; then the rest is written, and it must load. */
function truncated(length) {
  return {
    name: `truncated to ${length} bytes, then completed`,
    profiles: ['exact', 'strict'],
    run: (card) =>
      feed(card, SOUND.subarray(0, length), 13, async (_, fd) => {
        const results = await card.writeAll(fd, SOUND.subarray(length), 13)
        const { result } = await card.set(State.STOP)
        return `, completed ${summary(results)} STOP=${result} state=${await card.state()}`
      }),
  }
}

export const damaged = {
  title: 'damaged streams',
  cases: [
    ...damage('header', HEADERS, { strict: 'sticky-content' }),
    ...damage('port', FIELDS, { exact: 'range-checks', strict: 'range-checks' }),
    ...damage('legal', LEGAL, {}),
    ...[0, 1, 23, 24, 25, 59, 60, 95].map(truncated),
    {
      name: 'too long by one byte, in one write',
      profiles: ['exact', 'strict'],
      run: (card) => feed(card, new Uint8Array([...SOUND, 0]), 97),
    },
    {
      name: 'too long, in 7-byte writes: the last fit is refused whole',
      profiles: ['exact', 'strict'],
      run: (card) => feed(card, new Uint8Array([...SOUND, 1, 2, 3, 4]), 7),
    },
    {
      name: 'the stream of a card with one port',
      profiles: ['exact', 'strict'],
      differs: { strict: 'sticky-content' },
      run: (card) => feed(card, freshStream(1), 60),
    },
    {
      name: 'two streams one after the other',
      profiles: ['exact', 'strict'],
      run: (card) => feed(card, new Uint8Array([...SOUND, ...SOUND]), 96),
    },
    {
      name: 'a refused stream does not spoil the next session',
      profiles: ['exact', 'strict'],
      differs: { strict: 'refused-errno' },
      async run(card) {
        await card.load(freshStream(2))
        const fd = await card.enter(State.RESUMING)
        const results = await card.writeAll(fd, patched(SOUND, { 0: 0 }), 96)
        await card.reset()
        const answer = await feed(card, SOUND, 96)
        return `first ${summary(results)}, then ${answer}`
      },
    },
  ],
}
