/**
 * The data fd: ends of stream, wrong directions, ended and closed sessions, poll, and the precopy ioctl.
 *
 * @module
 */
import { toHex } from '../hex.mjs'
import { Request, State, words } from '../card.mjs'
import { freshStream } from '../streams.mjs'

const READABLE = 0x41
const WRITABLE = 0x104
const POISON = 0x5a5a5a5a

/** The precopy ioctl on `length` bytes that declare `argsz`; the caller's flags are zero, its counters are not. */
async function precopyInfo(card, fd, { argsz = 24, length = 24, request = Request.PRECOPY_INFO } = {}) {
  const bytes = words(argsz, 0, BigInt(POISON), BigInt(POISON)).subarray(0, length)
  const { result, bytes: left } = await card.target.ioctl(fd, request, bytes)
  if (result !== 0) return `rc=${result}`
  const view = new DataView(left.buffer, left.byteOffset)
  return `rc=0 initial=${view.getBigUint64(8, true)} dirty=${view.getBigUint64(16, true)} flags=${view.getUint32(4, true)}`
}

const result = async (call) => (await call).result

/** A case that begins with a reset and gives its answers one after the other. */
function steps(name, run, more = {}) {
  return {
    name,
    ...more,
    async run(card) {
      await card.reset()
      await card.load(freshStream(card.ports))
      const answers = []
      await run(card, (label, value) => answers.push(`${label}=${value}`))
      return answers.join(' ')
    },
  }
}

export const sessions = {
  title: 'data fd',
  cases: [
    ...[1, 2].flatMap((ports) =>
      [1, 7, 16, 23, 24, 25, 2048].map((piece) =>
        steps(
          `a whole stream by PRE_COPY in ${piece}-byte pieces, ${ports} port(s)`,
          async (card, say) => {
            const fd = await card.enter(State.PRE_COPY)
            const first = await card.readAll(fd, piece)
            say('precopy', `${first.stream.length},${first.last}`)
            await card.enter(State.STOP_COPY)
            const rest = await card.readAll(fd, piece)
            say('rest', `${toHex(rest.stream)},${rest.last}`)
            say('again', await result(card.target.read(fd, piece)))
          },
          { ports },
        ),
      ),
    ),
    steps('precopy info as the header is read', async (card, say) => {
      const fd = await card.enter(State.PRE_COPY)
      say('start', await precopyInfo(card, fd))
      await card.target.read(fd, 10)
      say('after 10', await precopyInfo(card, fd))
      await card.target.read(fd, 100)
      say('after all', await precopyInfo(card, fd))
      await card.enter(State.PRE_COPY_P2P)
      say('in PRE_COPY_P2P', await precopyInfo(card, fd))
    }),
    steps('precopy info: larger argsz, smaller argsz, short memory, wrong request', async (card, say) => {
      const fd = await card.enter(State.PRE_COPY)
      say('40', await precopyInfo(card, fd, { argsz: 40 }))
      say('23', await precopyInfo(card, fd, { argsz: 23 }))
      say('0', await precopyInfo(card, fd, { argsz: 0 }))
      say('memory 23', await precopyInfo(card, fd, { length: 23 }))
      say('request', await precopyInfo(card, fd, { request: 0x3b7a }))
      say('request before memory', await precopyInfo(card, fd, { request: 0x3b7a, length: 0 }))
    }),
    steps(
      'precopy info outside PRE_COPY: STOP_COPY, ended, ended with a new session, resuming',
      async (card, say) => {
        const old = await card.enter(State.PRE_COPY)
        await card.enter(State.STOP_COPY)
        say('STOP_COPY', await precopyInfo(card, old))
        await card.enter(State.RUNNING)
        say('ended', await precopyInfo(card, old))
        await card.enter(State.PRE_COPY)
        say('ended, another session', await precopyInfo(card, old))
        const resuming = await card.enter(State.RESUMING)
        say('resuming', await precopyInfo(card, resuming))
      },
    ),
    steps('a saving fd is read only, a resuming fd write only', async (card, say) => {
      const saving = await card.enter(State.STOP_COPY)
      say('write', await result(card.target.write(saving, new Uint8Array(1))))
      const resuming = await card.enter(State.RESUMING)
      say('read', await result(card.target.read(resuming, 1)))
    }),
    steps('an ended saving fd: read, read of nothing, write', async (card, say) => {
      const fd = await card.enter(State.STOP_COPY)
      await card.target.read(fd, 10)
      await card.enter(State.STOP)
      say('read', await result(card.target.read(fd, 1)))
      say('write', await result(card.target.write(fd, new Uint8Array(1))))
    }),
    steps('an ended resuming fd: a byte, a whole stream, one byte more', async (card, say) => {
      const fd = await card.enter(State.RESUMING)
      await card.writeAll(fd, freshStream(2), 96)
      await card.enter(State.STOP)
      say('1', await result(card.target.write(fd, new Uint8Array(1))))
      say('96', await result(card.target.write(fd, new Uint8Array(96))))
      say('97', await result(card.target.write(fd, new Uint8Array(97))))
    }),
    steps('reset ends both kinds, and the state is RUNNING', async (card, say) => {
      const saving = await card.enter(State.PRE_COPY)
      await card.reset()
      say('state', await card.state())
      say('read', await result(card.target.read(saving, 1)))
      const resuming = await card.enter(State.RESUMING)
      await card.reset()
      say('state', await card.state())
      say('write', await result(card.target.write(resuming, new Uint8Array(1))))
    }),
    steps('reads and writes of no bytes', async (card, say) => {
      const saving = await card.enter(State.STOP_COPY)
      say('read', await result(card.target.read(saving, 0)))
      const resuming = await card.enter(State.RESUMING)
      say('write', await result(card.target.write(resuming, new Uint8Array(0))))
    }),
    steps('poll of a live session', async (card, say) => {
      const fd = await card.enter(State.PRE_COPY)
      say('start', await result(card.target.poll(fd, READABLE)))
      await card.readAll(fd, 100)
      say('temporary end', await result(card.target.poll(fd, READABLE)))
      await card.enter(State.STOP_COPY)
      say('STOP_COPY', await result(card.target.poll(fd, READABLE)))
      await card.readAll(fd, 100)
      say('permanent end', await result(card.target.poll(fd, READABLE)))
      const resuming = await card.enter(State.RESUMING)
      say('resuming', await result(card.target.poll(resuming, WRITABLE)))
    }),
    steps(
      'poll of an ended session',
      async (card, say) => {
        const fd = await card.enter(State.STOP_COPY)
        await card.enter(State.RUNNING)
        say('saving', await result(card.target.poll(fd, READABLE)))
      },
      { differs: { exact: 'poll-ended' } },
    ),
    steps('the fd closed in PRE_COPY: the device goes on, and a new session is whole', async (card, say) => {
      const fd = await card.enter(State.PRE_COPY)
      say('close', await result(card.target.close(fd)))
      say('read', await result(card.target.read(fd, 1)))
      say('STOP_COPY', (await card.set(State.STOP_COPY)).result)
      await card.enter(State.STOP)
      say('saved', (await card.save()).length)
    }),
    steps('the fd closed in RESUMING: what was written is loaded', async (card, say) => {
      const stream = freshStream(2)
      stream[24 + 7] = 0xa5
      const fd = await card.enter(State.RESUMING)
      await card.writeAll(fd, stream, 96)
      await card.target.close(fd)
      say('RUNNING', (await card.set(State.RUNNING)).result)
      say('SCR', await card.register(0, 7))
    }),
    steps('several sessions one after the other share nothing', async (card, say) => {
      for (const state of [State.STOP_COPY, State.PRE_COPY, State.RESUMING, State.STOP_COPY]) {
        await card.reset()
        const fd = await card.enter(state)
        if (state !== State.RESUMING) say('bytes', (await card.target.read(fd, 1000)).result)
      }
    }),
    steps('content survives a reset, and closing and opening the device', async (card, say) => {
      await card.poke(1, 7, 0x3c)
      await card.reset()
      say('reset', await card.register(1, 7))
      await card.target.reopen()
      say('reopened', await card.register(1, 7))
    }),
    steps(
      'the state after closing in STOP_COPY and opening again',
      async (card, say) => {
        await card.enter(State.STOP_COPY)
        await card.target.reopen()
        say('state', await card.state())
      },
      { differs: { exact: 'state-at-reopen' } },
    ),
    steps('an fd that outlives its device: read', async (card, say) => {
      const fd = await card.enter(State.STOP_COPY)
      await card.target.reopen()
      say('read', await result(card.target.read(fd, 1)))
    }),
  ],
}
