/**
 * Where stopcopy answers otherwise than Linux 6.12, and means to. A case that shows one names it; `matches` says
 * what both sides answer then, so that a difference can neither widen nor vanish unseen.
 *
 * @module
 */
import { toHex } from './hex.mjs'
import { freshStream } from './streams.mjs'

const FRESH = toHex(freshStream(2))

/** The parts of an answer of `damaged.mjs`. */
function fed(answer) {
  const { writes, stop, state, held } =
    /writes (?<writes>\S*) STOP=(?<stop>-?\d+) state=(?<state>\w+) holds (?<held>[0-9a-f]+)$/.exec(answer)
      ?.groups ?? {}
  return {
    writes,
    loaded: stop === '0' && state === 'STOP',
    refused: stop === '-22' && state === 'RESUMING',
    held,
  }
}

const EINVAL = /rc=-22/
const DONE = /rc=0/

export const DIFFERENCES = {
  'newer-feature': {
    why: 'MIG_PRECOPY_INFOv2 is newer than Linux 6.12, which knows no feature of that number',
    matches: (kernel, stopcopy) => /rc=-25/.test(kernel) && DONE.test(stopcopy),
  },
  'partial-copy': {
    why: 'results are written whole or not at all; Linux writes up to the byte that faults. Both say EFAULT',
    matches: (kernel, stopcopy) =>
      /^rc=-14 memory [0-9a-f]+$/.test(kernel) && stopcopy === 'rc=-14 memory untouched',
  },
  'address-width': {
    why: 'addresses have 64 bits; the guest is a 32-bit Linux, to which an end above 2^32 is an overflow',
    matches: (kernel, stopcopy) => /rc=-75/.test(kernel) && DONE.test(stopcopy),
  },
  'logging-page-size': {
    why: 'a page size of 0 or no power of two and a range of no length are EINVAL; Linux lets some of them pass',
    matches: (kernel, stopcopy) => DONE.test(kernel) && EINVAL.test(stopcopy),
  },
  'bitmap-memory': {
    why: 'a bitmap that ends too early is EFAULT whatever is dirty; Linux 6.12 looks at it only where a bit is set, and the sample driver sets none',
    matches: (kernel, stopcopy) =>
      kernel === 'rc=0 bitmap untouched' && stopcopy === 'rc=-14 bitmap untouched',
  },
  'poll-ended': {
    why: 'POLLERR and POLLHUP tell who waits that the session ended; the sample driver says readable, and the read fails',
    matches: (kernel, stopcopy) => kernel === 'saving=65' && stopcopy === 'saving=24',
  },
  'conformance-poll': {
    why: 'the same, seen by the conformance suite: the kernel fails the cases that want POLLHUP and POLLERR of an ended session',
    matches: (kernel, stopcopy) => kernel === 'fails' && stopcopy === 'passes',
  },
  'state-at-reopen': {
    why: 'RUNNING, as other drivers; the sample driver keeps the state of the last close, without a session',
    matches: (kernel, stopcopy) => kernel === 'state=STOP_COPY' && stopcopy === 'state=RUNNING',
  },
  'range-checks': {
    why: 'both profiles check, on leaving RESUMING, the fields that index the ring; Linux loads what comes and later reads and writes beyond its ring',
    matches(kernel, stopcopy) {
      const [theirs, ours] = [fed(kernel), fed(stopcopy)]
      return (
        theirs.loaded &&
        theirs.held !== FRESH &&
        ours.refused &&
        ours.held === FRESH &&
        theirs.writes === ours.writes
      )
    },
  },
  'sticky-content': {
    why: 'profile strict: a refused header is EINVAL for the whole session, and nothing of it is loaded; the sample driver says EFAULT once, forgets it, and loads the rest',
    matches(kernel, stopcopy) {
      const [theirs, ours] = [fed(kernel), fed(stopcopy)]
      const [before] = theirs.writes?.split(/,?-14/) ?? []
      return (
        /-14/.test(theirs.writes) &&
        ours.refused &&
        ours.held === FRESH &&
        new RegExp(`^${escaped(before)},?\\d*\\*?-22$`).test(ours.writes)
      )
    },
  },
  'refused-errno': {
    why: 'profile strict: a refused header is EINVAL; the sample driver says EFAULT, which elsewhere means bad memory of the caller',
    matches: (kernel, stopcopy) => kernel.replaceAll('-14', '-22') === stopcopy,
  },
}

function escaped(text) {
  return text?.replaceAll('*', '\\*')
}
