/**
 * A bulk device to save from and restore to, and what a user's program does with its sessions.
 *
 * @module
 */
import { createEngine, DeviceState, VfioDevice, VfioError } from 'stopcopy'
import { createBulk } from 'stopcopy/devices'
import { PAGE_BYTES } from './dirty-pages.mjs'
import { MIB } from './touched.mjs'

/** Room beside the device memory: frames, bitmaps, registers. */
const EXTRA_BYTES = 16 * MIB
/** What a lease, a window or a read asks for: the format's frames are smaller, so this never limits. */
export const CALL_BYTES = MIB

/**
 * Opens a device. A source's memory is seeded: touched, and without zero pages. A destination's is zero at
 * power-on, else entering RESUMING would fill it with the seed's bytes first.
 *
 * @param {number} memoryBytes
 * @param {{ role?: 'source' | 'destination', engine?: import('stopcopy').Engine, shared?: boolean }} [options]
 */
export async function openBulk(memoryBytes, { role = 'source', engine, shared = false } = {}) {
  engine ??= await createEngine({ memoryBytes: memoryBytes + EXTRA_BYTES, ...(shared ? { shared } : {}) })
  const bulk = createBulk({ memoryBytes, engine, ...(role === 'source' ? { seed: 1 } : {}) })
  const device = await VfioDevice.open(bulk)
  const word = new Uint8Array(4)
  let salt = 0
  /** A new value in one u32 of the page, at another place each time: it marks the page dirty. */
  const change = (page) => bulk.memory.write(page * PAGE_BYTES + ((salt * 64) % PAGE_BYTES), word)
  const nextSalt = () => new DataView(word.buffer).setUint32(0, Math.imul(++salt, 2_654_435_761) | 1, true)
  return {
    device,
    memory: bulk.memory,
    memoryBytes,
    /** Changes every page. */
    changeAll() {
      nextSalt()
      for (let page = 0; page < memoryBytes / PAGE_BYTES; page++) change(page)
    },
    /** Changes the pages of a bitmap. */
    changePages(bitmap) {
      nextSalt()
      for (const [index, bits] of bitmap.entries())
        for (let rest = bits; rest !== 0; rest &= rest - 1) change(index * 32 + 31 - Math.clz32(rest & -rest))
    },
  }
}

/** Takes all that the session has; returns bytes. In PRE_COPY until ENOMSG, in STOP_COPY to the end. */
export function drain(session, take = () => {}) {
  let bytes = 0
  for (;;) {
    let lease
    try {
      lease = session.lease(CALL_BYTES)
    } catch (error) {
      if (VfioError.is(error, 'ENOMSG')) return bytes
      throw error
    }
    if (lease.length === 0) return bytes
    bytes += lease.length
    take(lease)
    session.release()
  }
}

/** One piece of 1 MiB in eight is compared, another one each time. */
const PIECES = 8
let compared = 0

/** Throws when two memories differ in the pieces it looks at. */
export function samePieces(memory, other) {
  const [mine, theirs] = [Buffer.alloc(MIB), Buffer.alloc(MIB)]
  for (let at = (compared++ % PIECES) * MIB; at < memory.byteLength; at += PIECES * MIB) {
    memory.read(at, mine)
    other.read(at, theirs)
    if (!mine.equals(theirs)) throw new Error(`the memories differ in the MiB at ${at}`)
  }
}

/** The whole stream of a device as one touched Buffer; the device runs again afterwards. */
export async function recordStream(device) {
  const session = await device.setState(DeviceState.STOP_COPY)
  const stream = Buffer.from(new ArrayBuffer(await device.stopCopyLength()))
  let at = 0
  drain(session, (lease) => {
    stream.set(lease, at)
    at += lease.length
  })
  await device.setState(DeviceState.RUNNING)
  session.close()
  return stream.subarray(0, at)
}
