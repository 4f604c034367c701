/**
 * Every request from every state: errno, the state afterwards, whether a data fd came back. And what leaving
 * RESUMING answers when a whole stream was written, which the plain matrix cannot show.
 *
 * @module
 */
import { State, STATE_NAMES } from '../card.mjs'
import { freshStream } from '../streams.mjs'

const FROM = [
  State.STOP,
  State.RUNNING,
  State.STOP_COPY,
  State.RESUMING,
  State.RUNNING_P2P,
  State.PRE_COPY,
  State.PRE_COPY_P2P,
]
const REQUESTS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

async function answer(card, request) {
  const { result, fd } = await card.set(request)
  return `rc=${result} state=${await card.state()} fd=${fd >= 0 ? 1 : 0}`
}

const nameOf = (state) => STATE_NAMES[state] ?? `?(${state})`

function cell(from, request) {
  return {
    name: `${nameOf(from)} -> ${nameOf(request)}`,
    async run(card) {
      await card.reset()
      await card.enter(from)
      return answer(card, request)
    },
  }
}

function loadedCell(request) {
  return {
    name: `RESUMING, stream written -> ${nameOf(request)}`,
    async run(card) {
      await card.reset()
      const fd = await card.enter(State.RESUMING)
      await card.writeAll(fd, freshStream(2), 96)
      return answer(card, request)
    },
  }
}

export const matrix = {
  title: 'request matrix',
  cases: [
    ...FROM.flatMap((from) => REQUESTS.map((request) => cell(from, request))),
    ...REQUESTS.map(loadedCell),
  ],
}
