/**
 * Whole saves through the public API: from setState(STOP_COPY) to the end of the stream, checksums on.
 *
 * The rival is what one would write without stopcopy: runs from the dirty bitmap in TypeScript, Buffer.copy
 * into a frame of 256 KiB, the fastest native hash over the frame while the caches still hold it.
 *
 * @module
 */
import { DeviceState } from 'stopcopy'
import { CALL_BYTES, drain, openBulk } from '../data/bulk-device.mjs'
import { createRandom, dirtyPages, findRuns, PAGE_BYTES, SEED } from '../data/dirty-pages.mjs'
import { fastestHash } from '../data/rivals.mjs'
import { formatBytes, GIB, MIB, touchedBuffer } from '../data/touched.mjs'
import { atLeast } from '../harness/targets.mjs'

const FRAME_BYTES = 256 * 1024
/** What is dirty, as the table names it. */
const PATTERNS = [
  { name: '10 % clustered', share: 0.1, kind: 'clustered', asked: 0.8 },
  { name: '50 % clustered', share: 0.5, kind: 'clustered', asked: 0.8 },
  { name: '10 % random pages', share: 0.1, kind: 'random', asked: 0.33 },
]
const RIVAL = 'Buffer.copy + @node-rs xxh64'

export const rounds = { full: 11, quick: 2 }
export const names = [
  'M1',
  'save by lease',
  'save by read',
  `${RIVAL}, all`,
  ...PATTERNS.flatMap(({ name }) => [`M2, ${name}`, `save ${name}`, `${RIVAL}, ${name}`]),
]

export async function open({ quick }) {
  const size = quick ? GIB / 8 : GIB
  const source = await openBulk(size)
  const { device } = source
  const [from, to] = [touchedBuffer(size), touchedBuffer(size)]
  const piece = touchedBuffer(MIB)
  const frame = touchedBuffer(FRAME_BYTES)
  const pageCount = size / PAGE_BYTES
  const runs = new Uint32Array(pageCount + 2)

  /** What a save needs around the timed part, and the check that all of it was delivered. */
  const saving = (take, pattern) => {
    let [session, expected, delivered] = [undefined, 0, 0]
    return {
      async before() {
        if (pattern === undefined) source.changeAll()
        else {
          session = await device.setState(DeviceState.PRE_COPY)
          drain(session)
          source.changePages(pattern())
        }
        expected = await device.stopCopyLength()
      },
      async once() {
        const opened = await device.setState(DeviceState.STOP_COPY)
        session ??= opened
        delivered = take(session)
      },
      async after() {
        if (delivered !== expected) throw new Error(`${delivered} of ${expected} bytes were delivered`)
        await device.setState(DeviceState.RUNNING)
        session.close()
        session = undefined
      },
    }
  }
  const read = (session) => {
    let bytes = 0
    for (let got; (got = session.read(piece)) > 0;) bytes += got
    return bytes
  }
  const copyRuns = (bitmap) => {
    const count = findRuns(bitmap, runs)
    for (let run = 0; run < count; run++) {
      const end = (runs[run * 2] + runs[run * 2 + 1]) * PAGE_BYTES
      for (let at = runs[run * 2] * PAGE_BYTES; at < end; at += FRAME_BYTES) {
        const bytes = from.copy(frame, 0, at, Math.min(at + FRAME_BYTES, end))
        fastestHash(bytes === FRAME_BYTES ? frame : frame.subarray(0, bytes))
      }
    }
  }

  const everyPage = new Int32Array(pageCount / 32).fill(-1)
  const cases = [
    {
      name: 'M1',
      bytes: size,
      once: async () => {
        for (let at = 0; at < size; at += MIB) from.copy(piece, 0, at, at + MIB)
      },
    },
    { name: 'save by lease', bytes: size, against: 'M1', ...saving(drain) },
    { name: 'save by read', bytes: size, against: 'M1', ...saving(read) },
    { name: `${RIVAL}, all`, bytes: size, against: 'M1', once: async () => copyRuns(everyPage) },
  ]
  for (const { name, share, kind } of PATTERNS) {
    const random = createRandom()
    const bytes = Math.floor(pageCount * share) * PAGE_BYTES
    let bitmap
    const pattern = () => (bitmap = dirtyPages(pageCount, share, kind, random))
    const reference = `M2, ${name}`
    cases.push(
      { name: reference, bytes, once: async () => void from.copy(to, 0, 0, bytes) },
      { name: `save ${name}`, bytes, against: reference, ...saving(drain, pattern) },
      // The same pages as the save before it had.
      {
        name: `${RIVAL}, ${name}`,
        bytes,
        against: reference,
        before: () => void (bitmap ??= pattern()),
        once: async () => copyRuns(bitmap),
      },
    )
  }
  return {
    title: `Save of ${formatBytes(size)}`,
    notes: [
      `M1: Buffer.copy of ${formatBytes(size)} in 1 MiB pieces into one reused buffer. M2: one Buffer.copy of as many contiguous bytes as are dirty.`,
      `A save is timed from setState(STOP_COPY) to the end of its stream. Before a full save one u32 of every page was changed; before the others PRE_COPY was drained and the pages of the pattern were changed (seed ${SEED}; clustered: runs of 1 to 64 pages). GB/s counts dirty bytes.`,
      `Leases are asked for with ${formatBytes(CALL_BYTES)} and are as large as the format's frames; read fills ${formatBytes(CALL_BYTES)}.`,
    ],
    cases,
    targets: [
      atLeast(0.85, 'save by lease', 'M1'),
      atLeast(0.55, 'save by read', 'M1'),
      ...PATTERNS.map(({ name, asked }) =>
        atLeast(asked, `save ${name}`, `M2, ${name}`, `save, ${name} / M2 of the dirty bytes`),
      ),
    ],
  }
}
