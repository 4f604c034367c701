/**
 * The device that libvfio-user's C client sample expects to find: written from what that client asks for, for the
 * interop test and for whoever runs the sample by hand.
 *
 * BAR0 is 8 bytes: a time, at which a running device raises INTx, then writes 4 KiB into the second page of host
 * memory that it was given, and writes and reads 4 KiB of the first. BAR1 is 0x3000 bytes of memory. Its stream is
 * BAR1 in PRE_COPY, then BAR1 and BAR0 in STOP_COPY; loading wants the last part of it.
 *
 * @module
 */
import { DeviceState, MigrationFlag, VfioError } from '../../dist/index.js'

const TIME_BYTES = 8
const MEMORY_BYTES = 0x3000
const IMAGE_BYTES = MEMORY_BYTES + TIME_BYTES
const PAGE_BYTES = 4096
const PIECE_BYTES = 1024
/** Longest wait of one timer. */
const LONGEST_MS = 2 ** 31 - 1

/** The save and resume streams of a sample device, opaque to whoever carries them. */
function saveEnd(parts) {
  let [part, at] = [parts[0](), 0]
  let next = 1
  return {
    direction: 'save',
    read(dst) {
      const count = Math.min(dst.length, part.length - at)
      dst.set(part.subarray(at, at + count))
      at += count
      return count
    },
    poll: () => (at < part.length ? 0x41 : 0),
    precopyInfo: () => ({ initialBytes: part.length - at, dirtyBytes: 0, reinit: false }),
    /** The next part of the stream begins: STOP_COPY. */
    advance() {
      const rest = part.subarray(at)
      const more = parts[next++]()
      part = new Uint8Array(rest.length + more.length)
      part.set(rest)
      part.set(more, rest.length)
      at = 0
    },
    end() {},
  }
}

function resumeEnd() {
  let kept = new Uint8Array(0)
  const most = 2 * MEMORY_BYTES + TIME_BYTES
  return {
    direction: 'resume',
    write(src) {
      if (kept.length + src.length > most)
        throw new VfioError('EINVAL', `Cannot load the sample: its stream has ${most} bytes at most`)
      const all = new Uint8Array(kept.length + src.length)
      all.set(kept)
      all.set(src, kept.length)
      kept = all
      return src.length
    },
    get bytes() {
      return kept
    },
    end() {},
  }
}

/**
 * @param {(line: string) => void} say what the device did
 * @param {{ fd: number, bytes: Uint8Array }} [file] memory of BAR1 that clients can map, 0x4000 bytes
 * @returns {import('../../dist/index.js').Driver & { pci: object, pages: bigint[] }} a driver, how a PCI bus sees it,
 * and where pages of host memory are: to be filled as they are mapped, since no device can look for them
 */
export function createSampleDevice(say, file) {
  const memory = file?.bytes.subarray(0, MEMORY_BYTES) ?? new Uint8Array(MEMORY_BYTES)
  const time = new Uint8Array(TIME_BYTES)
  const image = () => Buffer.concat([memory, time])
  const pages = []
  const areas = [{ offset: 0n, size: BigInt(MEMORY_BYTES) }]
  let [host, timer, session, isRunning] = [undefined, undefined, undefined, true]

  const dueMs = () => Number(new DataView(time.buffer).getBigInt64(0, true)) * 1000
  const arm = () => {
    clearTimeout(timer)
    if (!isRunning || dueMs() === 0) return
    const wait = dueMs() - Date.now()
    if (wait > 0) timer = setTimeout(fire, Math.min(wait, LONGEST_MS))
  }
  const fire = async () => {
    if (dueMs() > Date.now()) return arm()
    say('interrupt')
    host?.raise(0)
    try {
      if (host !== undefined) await touchHost(host.memory, pages)
      say('dma done')
    } catch (error) {
      say(`dma failed: ${error.message}`)
    }
  }
  const region = (index, offset, byteLength) => {
    const bytes = index === 0 ? time : index === 1 ? memory : undefined
    if (bytes === undefined || offset + byteLength > bytes.length)
      throw new VfioError('EINVAL', `Cannot access region ${index} at ${offset}: it ends before`)
    return bytes.subarray(offset, offset + byteLength)
  }
  const load = () => {
    const { bytes } = session
    if (bytes.length !== IMAGE_BYTES && bytes.length !== MEMORY_BYTES + IMAGE_BYTES)
      throw new VfioError('EINVAL', `Cannot load the sample: its stream has ${bytes.length} bytes`)
    const last = bytes.subarray(bytes.length - IMAGE_BYTES)
    memory.set(last.subarray(0, MEMORY_BYTES))
    time.set(last.subarray(MEMORY_BYTES))
  }

  return {
    flags: MigrationFlag.STOP_COPY | MigrationFlag.PRE_COPY,
    identity: { type: 'libvfio-user-sample', version: 1, fingerprint: new Uint8Array(8), stream: 'opaque' },
    pages,
    regions: {
      read: (index, offset, dst) => dst.set(region(index, offset, dst.length)),
      write(index, offset, src) {
        region(index, offset, src.length).set(src)
        if (index === 0) arm()
      },
    },
    transition(from, to) {
      isRunning = to === DeviceState.RUNNING || to === DeviceState.PRE_COPY
      if (from === DeviceState.RESUMING && to === DeviceState.STOP) load()
      arm()
      if (to === DeviceState.PRE_COPY) session = saveEnd([() => memory.slice(), image])
      else if (from === DeviceState.PRE_COPY && to === DeviceState.STOP_COPY) session.advance()
      else if (to === DeviceState.STOP_COPY) session = saveEnd([image])
      else if (to === DeviceState.RESUMING) session = resumeEnd()
      else return undefined
      return from === DeviceState.PRE_COPY ? undefined : session
    },
    stopCopyLength: () => IMAGE_BYTES,
    reset() {
      memory.fill(0)
      time.fill(0)
      isRunning = true
      clearTimeout(timer)
    },
    close: () => clearTimeout(timer),
    pci: {
      vendor: 0xdead,
      device: 0xbeef,
      subsystemVendor: 0xcafe,
      subsystemDevice: 0xbabe,
      classCode: 0x000000,
      revision: 0,
      bars: [
        { index: 0, kind: 'memory', byteLength: 4096 },
        {
          index: 1,
          kind: 'memory',
          byteLength: 0x4000,
          ...(file === undefined ? {} : { file: { fd: file.fd, areas } }),
        },
      ],
      interrupts: { intx: 1, msi: 0, msix: 0 },
      intxAsserted: false,
      connect(it) {
        host = it
        return () => (host = undefined)
      },
    },
  }
}

/** Writes and reads the second page, then the first, which the client sees as messages. */
async function touchHost(memory, [first, second]) {
  if (second === undefined) throw new Error('there are no two pages of host memory')
  const noise = new Uint8Array(PAGE_BYTES).map((_, index) => 65 + Math.floor(index / PIECE_BYTES))
  // In this order: with the last message the client goes on, and asks what was written, or takes its memory away.
  for (const page of [second, first]) {
    const back = new Uint8Array(PAGE_BYTES)
    await memory.write(page, noise)
    await memory.read(page, back)
    if (!back.every((byte, index) => byte === noise[index]))
      throw new Error('host memory reads differently from what was written')
  }
}
