/**
 * The entry checks of VFIO_DEVICE_FEATURE: every feature by every set of operation bits and declared sizes, by
 * memory that ends too early, and what a call leaves in the caller's memory.
 *
 * @module
 */
import { Feature, featureBytes, Operation, Request, State, words } from '../card.mjs'
import { toHex } from '../hex.mjs'

const { GET, SET, PROBE } = Operation
const OPERATIONS = {
  none: 0,
  GET,
  SET,
  'GET+SET': GET | SET,
  PROBE,
  'PROBE+GET': PROBE | GET,
  'PROBE+SET': PROBE | SET,
  'PROBE+GET+SET': PROBE | GET | SET,
  'GET+bit 19': GET | 0x80000,
}
const SIZES = [0, 7, 8, 15, 16, 24, 31, 32, 39, 40, 0xffffffff]

/** Payload of 40 bytes: as feature 2 it asks for RUNNING; as 6 it has no ranges; as 8 a page of no size. */
const PAYLOAD = words(State.RUNNING, 0, 0, 0, 0, 0, 0, 0, 0, 0)

/** Features whose driver answers depend on a payload, or that move the state: those get cases of their own. */
const FEATURES = {
  'MIGRATION (1)': Feature.MIGRATION,
  'MIG_DEVICE_STATE (2)': Feature.STATE,
  'DMA_LOGGING_START (6)': Feature.LOG_START,
  'DMA_LOGGING_STOP (7)': Feature.LOG_STOP,
  'DMA_LOGGING_REPORT (8)': Feature.LOG_REPORT,
  'MIG_DATA_SIZE (9)': Feature.DATA_SIZE,
}

/** Features mtty does not have, and numbers nobody has. */
const ABSENT = [0, 3, 4, 5, 10, 11, 13, 0x7fff, 0xffff]

/** One call, as text: the result and the bytes it left, a data fd as "fd". */
async function call(card, bytes) {
  const { result, bytes: left } = await card.target.ioctl('device', Request.FEATURE, bytes)
  const changed = toHex(left) === toHex(bytes) ? 'memory untouched' : `memory ${toHex(left)}`
  return `rc=${result} ${changed}`
}

function check(feature, index, operation, bits, size) {
  return {
    name: `${feature}, ${operation}, argsz ${size}`,
    async run(card) {
      await card.reset()
      return call(card, featureBytes(index | bits, PAYLOAD, size))
    },
  }
}

function absent(index, operation, bits) {
  return {
    name: `feature ${index}, ${operation}`,
    run: async (card) => call(card, featureBytes(index | bits, PAYLOAD)),
  }
}

function shortMemory(feature, index, bits, length) {
  return {
    name: `${feature}, memory ends after ${length} bytes`,
    // The driver's answer, copied out in part.
    ...(length > 8 && bits === GET && index !== Feature.STATE && { differs: { exact: 'partial-copy' } }),
    async run(card) {
      await card.reset()
      return call(card, featureBytes(index | bits, PAYLOAD, 48).subarray(0, length))
    },
  }
}

/** The four outcomes of SET for the caller's memory (a fd number is replaced by 99). */
function leftBehind(name, from, target) {
  return {
    name: `what SET leaves in memory: ${name}`,
    async run(card) {
      await card.reset()
      await card.enter(from)
      const message = featureBytes(Feature.STATE | SET, words(target, 0x5a5a5a5a))
      const { result, bytes } = await card.target.ioctl('device', Request.FEATURE, message)
      const view = new DataView(bytes.buffer, bytes.byteOffset)
      if (view.getInt32(12, true) >= 0 && result === 0) view.setInt32(12, 99, true)
      return `rc=${result} memory ${toHex(bytes)}`
    },
  }
}

export const features = {
  title: 'feature call checks',
  cases: [
    ...Object.entries(FEATURES).flatMap(([feature, index]) =>
      Object.entries(OPERATIONS).flatMap(([operation, bits]) =>
        SIZES.map((size) => check(feature, index, operation, bits, size)),
      ),
    ),
    ...ABSENT.flatMap((index) => [absent(index, 'GET', GET), absent(index, 'PROBE', PROBE)]),
    {
      name: 'feature 12 (MIG_PRECOPY_INFOv2), SET',
      differs: { exact: 'newer-feature' },
      run: async (card) => call(card, featureBytes(12 | SET, new Uint8Array(0))),
    },
    ...[0, 4, 7, 8, 12, 15].flatMap((length) => [
      shortMemory('MIGRATION (1) GET', Feature.MIGRATION, GET, length),
      shortMemory('MIG_DEVICE_STATE (2) GET', Feature.STATE, GET, length),
      shortMemory('MIG_DEVICE_STATE (2) SET', Feature.STATE, SET, length),
      shortMemory('MIG_DATA_SIZE (9) GET', Feature.DATA_SIZE, GET, length),
    ]),
    leftBehind('success without a fd', State.RUNNING, State.STOP),
    leftBehind('success with a fd', State.RUNNING, State.PRE_COPY),
    leftBehind('the state it is in', State.STOP_COPY, State.STOP_COPY),
    leftBehind('refused by the state machine', State.STOP_COPY, State.PRE_COPY),
    leftBehind('refused by the driver', State.RESUMING, State.STOP),
    leftBehind('no state', State.RUNNING, 0xabcd),
    {
      name: 'no fd number is free: the errno, and the state has changed all the same',
      noFds: true,
      async run(card) {
        await card.reset()
        const { result } = await card.set(State.STOP_COPY)
        const again = await card.set(State.STOP_COPY)
        return `rc=${result} state=${await card.state()}, again rc=${again.result} fd=${again.fd}`
      },
    },
    {
      name: 'an ioctl that nothing knows',
      run: async (card) => `rc=${(await card.target.ioctl('device', 0x3bc7, new Uint8Array(16))).result}`,
    },
    ...[1, 2].map((ports) => ({
      name: `flags and data size, ${ports} port(s)`,
      ports,
      async run(card) {
        const flags = await call(card, featureBytes(Feature.MIGRATION | GET, words(0n)))
        const size = await call(card, featureBytes(Feature.DATA_SIZE | GET, words(0n)))
        return `${flags}; ${size}`
      },
    })),
  ],
}
