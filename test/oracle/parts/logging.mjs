/**
 * DMA logging: the core's checks of ranges, sizes and bitmaps. The driver behind them has no DMA.
 *
 * @module
 */
import { Feature, featureBytes, Operation, Request, words } from '../card.mjs'

const { GET, SET } = Operation
const CONTROL_BYTES = 24
const RANGES_POINTER = 8 + 16
const BITMAP_POINTER = 8 + 24

/** A START call with its ranges behind it: `count` may lie about how many there are. */
async function start(card, pageSize, ranges, { count = ranges.length, shortBy = 0 } = {}) {
  const at = 8 + CONTROL_BYTES
  const payload = [pageSize, count, 0, BigInt(at), ...ranges.flat()]
  const bytes = featureBytes(Feature.LOG_START | SET, words(...payload), at)
  const { result, bytes: left } = await card.target.ioctl(
    'device',
    Request.FEATURE,
    bytes.subarray(0, bytes.length - shortBy),
    [RANGES_POINTER],
  )
  return `rc=${result} page size ${new DataView(left.buffer, left.byteOffset).getBigUint64(8, true)}`
}

/** A REPORT call with its bitmap, all ones, behind it: what stays of the bitmap. */
async function report(card, iova, length, pageSize, bitmapBytes) {
  const at = 8 + 32
  const bitmap = new Uint8Array(bitmapBytes).fill(0xa5)
  const payload = new Uint8Array([...words(iova, length, pageSize, BigInt(at)), ...bitmap])
  const bytes = featureBytes(Feature.LOG_REPORT | GET, payload, at)
  const { result, bytes: left } = await card.target.ioctl('device', Request.FEATURE, bytes, [BITMAP_POINTER])
  return `rc=${result} bitmap ${left.subarray(at).every((byte) => byte === 0xa5) ? 'untouched' : 'changed'}`
}

const startCase = (name, ...call) => ({ name: `START, ${name}`, run: (card) => start(card, ...call) })
const reportCase = (name, ...call) => ({ name: `REPORT, ${name}`, run: (card) => report(card, ...call) })

const TOP = 1n << 64n

export const logging = {
  title: 'DMA logging checks',
  cases: [
    startCase('one range', 4096n, [[0n, 0x10000n]]),
    startCase('touching ranges', 4096n, [
      [0n, 0x1000n],
      [0x1000n, 0x1000n],
    ]),
    startCase('2 MiB pages', 0x200000n, [[0n, 0x200000n]]),
    startCase('no ranges', 4096n, []),
    startCase('257 ranges', 4096n, [], { count: 257 }),
    startCase('0xffffffff ranges', 4096n, [], { count: 0xffffffff }),
    startCase('range memory ends too early', 4096n, [[0n, 0x1000n]], { shortBy: 1 }),
    startCase('two ranges announced, one there', 4096n, [[0n, 0x1000n]], { count: 2 }),
    startCase('iova not aligned', 4096n, [[0x800n, 0x1000n]]),
    startCase('length not aligned', 4096n, [[0n, 0x1800n]]),
    startCase('end at 2^64', 4096n, [[TOP - 0x1000n, 0x1000n]]),
    startCase('end above 2^64', 4096n, [[TOP - 0x1000n, 0x2000n]]),
    {
      ...startCase('last page below 2^64', 4096n, [[TOP - 0x2000n, 0x1000n]]),
      differs: { exact: 'address-width' },
    },
    startCase('last page below 2^32', 4096n, [[0xffffe000n, 0x1000n]]),
    startCase('overlap', 4096n, [
      [0n, 0x2000n],
      [0x1000n, 0x1000n],
    ]),
    startCase('overlap, the later first', 4096n, [
      [0x2000n, 0x2000n],
      [0x1000n, 0x2000n],
    ]),
    {
      ...startCase('page size 0', 0n, [[0n, 0n]]),
      differs: { exact: 'logging-page-size' },
    },
    startCase('page size 0, a real range', 0n, [[0n, 0x1000n]]),
    {
      ...startCase('page size 3 * 4096', 0x3000n, [[0n, 0x4000n]]),
      differs: { exact: 'logging-page-size' },
    },
    { ...startCase('length 0', 4096n, [[0n, 0n]]), differs: { exact: 'logging-page-size' } },
    {
      name: 'START, twice',
      run: async (card) =>
        `${await start(card, 4096n, [[0n, 0x1000n]])}; ${await start(card, 4096n, [[0n, 0x1000n]])}`,
    },
    reportCase('while stopped', 0n, 0x10000n, 4096n, 8),
    reportCase('65 pages', 0n, 0x41000n, 4096n, 16),
    reportCase('length 0', 0n, 0n, 4096n, 8),
    reportCase('page size 2048', 0n, 0x10000n, 2048n, 8),
    reportCase('page size 0', 0n, 0x10000n, 0n, 8),
    reportCase('page size 3 * 4096', 0n, 0x30000n, 0x3000n, 8),
    reportCase('end at 2^64', TOP - 0x1000n, 0x1000n, 4096n, 8),
    reportCase('end above 2^64', TOP - 0x1000n, 0x2000n, 4096n, 8),
    {
      ...reportCase('bitmap memory ends too early', 0n, 0x41000n, 4096n, 15),
      differs: { exact: 'bitmap-memory' },
    },
    { ...reportCase('no bitmap memory', 0n, 0x1000n, 4096n, 0), differs: { exact: 'bitmap-memory' } },
    {
      name: 'STOP, while stopped',
      async run(card) {
        const bytes = featureBytes(Feature.LOG_STOP | SET, new Uint8Array(0))
        return `rc=${(await card.target.ioctl('device', Request.FEATURE, bytes)).result}`
      },
    },
  ],
}
