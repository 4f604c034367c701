/**
 * Whole restores through the public API: the bytes of a stream, kept in touched memory, are copied in and
 * verified where they land.
 *
 * @module
 */
import { DeviceState } from 'stopcopy'
import { CALL_BYTES, openBulk, recordStream, samePieces } from '../data/bulk-device.mjs'
import { fastestHash } from '../data/rivals.mjs'
import { formatBytes, GIB, MIB, touchedBuffer } from '../data/touched.mjs'
import { atLeast } from '../harness/targets.mjs'

const RIVAL = '@node-rs xxh64 + Buffer.copy'

export const rounds = { full: 9, quick: 2 }
export const names = ['M2', 'restore by window', 'restore by write', 'entering RESUMING, used memory', RIVAL]

export async function open({ quick }) {
  const size = quick ? GIB / 16 : GIB
  const source = await openBulk(size)
  const stream = await recordStream(source.device)
  const { device, memory } = await openBulk(size, { role: 'destination' })
  const [from, to] = [touchedBuffer(size), touchedBuffer(size)]

  let session
  const enter = async () => void (session = await device.setState(DeviceState.RESUMING))
  const restoring = (put) => ({
    before: enter,
    once: async () => put(session),
    async after() {
      await device.setState(DeviceState.STOP)
      samePieces(source.memory, memory)
      await device.setState(DeviceState.RUNNING)
      session.close()
    },
  })
  return {
    title: `Restore of ${formatBytes(size)}`,
    notes: [
      `M2: one Buffer.copy of ${formatBytes(size)} between two touched buffers.`,
      `Timed: from the open session to the last byte committed and verified. Entering RESUMING puts the memory that a round before filled back to power-on content (zero), which a fresh destination need not; it is shown by itself. After every restore one MiB in eight of the memory is compared with the source's, another one each time.`,
    ],
    cases: [
      { name: 'M2', bytes: size, once: async () => void from.copy(to) },
      { name: 'restore by window', bytes: size, against: 'M2', ...restoring(fillWindows(stream)) },
      { name: 'restore by write', bytes: size, against: 'M2', ...restoring(writeAll(stream)) },
      {
        name: 'entering RESUMING, used memory',
        bytes: size,
        against: 'M2',
        once: enter,
        async after() {
          writeAll(stream)(session)
          await device.setState(DeviceState.RUNNING)
          session.close()
        },
      },
      {
        // In pieces that stay in the cache between the two passes.
        name: RIVAL,
        bytes: size,
        against: 'M2',
        once: async () => {
          for (let at = 0; at < size; at += MIB / 4) {
            fastestHash(from.subarray(at, at + MIB / 4))
            from.copy(to, at, at, at + MIB / 4)
          }
        },
      },
    ],
    targets: ['window', 'write'].map((way) => atLeast(0.5, `restore by ${way}`, 'M2')),
  }
}

/** Copies a stream into a session's windows. */
function fillWindows(stream) {
  return (session) => {
    for (let at = 0; at < stream.length;) {
      const window = session.window(CALL_BYTES)
      const bytes = Math.min(window.length, stream.length - at)
      window.set(stream.subarray(at, at + bytes))
      session.commit(bytes)
      at += bytes
    }
  }
}

/** Writes a stream to a session in calls of 1 MiB. */
function writeAll(stream) {
  return (session) => {
    for (let at = 0; at < stream.length; at += CALL_BYTES) session.write(stream.subarray(at, at + CALL_BYTES))
  }
}
