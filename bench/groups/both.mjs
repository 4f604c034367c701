/**
 * Save and restore in one process, checksums at both ends, on one thread and on two.
 *
 * @module
 */
import { createEngine, DeviceState, memoryPair, restore, save } from 'stopcopy'
import { CALL_BYTES, drain, openBulk, samePieces } from '../data/bulk-device.mjs'
import { NOT_BUILT } from '../data/kernel-data.mjs'
import { formatBytes, GIB, MIB, touchedBuffer } from '../data/touched.mjs'
import { atLeast } from '../harness/targets.mjs'

const ONE = 'one thread: lease, write'
const TWO = 'two threads: save and restore with { worker }'

export const rounds = { full: 9, quick: 2 }
export const names = ['M2', ONE, 'one thread: lease, window', 'one thread: save and restore', TWO]

export async function open({ quick }) {
  const size = quick ? GIB / 16 : GIB
  const [from, to] = [touchedBuffer(size), touchedBuffer(size)]
  const plain = await openPair(size, false)
  const { createWorker } = await import('stopcopy/node')
  const worker = await createWorker?.()
  const shared = worker && (await openPair(size, true))
  return {
    title: `Save and restore of ${formatBytes(size)} in one process`,
    notes: [
      `M2: one Buffer.copy of ${formatBytes(size)} between two touched buffers. Timed from setState(STOP_COPY) of the source until the destination has verified the last byte; with save and restore, until both are done and the destination runs. The destination is in RESUMING before. One u32 of every page changes before each; pieces of both memories are compared after it.`,
    ],
    cases: [
      { name: 'M2', bytes: size, once: async () => void from.copy(to) },
      {
        name: ONE,
        bytes: size,
        against: 'M2',
        ...bySessions(plain, (session, lease) => session.write(lease)),
      },
      { name: names[2], bytes: size, against: 'M2', ...bySessions(plain, fillWindows) },
      { name: names[3], bytes: size, against: 'M2', ...byTransfers(plain, {}) },
      {
        name: TWO,
        bytes: size,
        against: 'M2',
        ...(worker === undefined ? { skipped: NOT_BUILT } : byTransfers(shared, { worker })),
      },
    ],
    targets: [atLeast(0.4, ONE, 'M2'), atLeast(0.75, TWO, 'M2')],
    close: () => worker?.close(),
  }
}

async function openPair(size, shared) {
  const engine = await createEngine({ memoryBytes: 2 * size + 32 * MIB, ...(shared ? { shared } : {}) })
  const source = await openBulk(size, { engine })
  const destination = await openBulk(size, { engine, role: 'destination' })
  return { source, destination }
}

function bySessions({ source, destination }, take) {
  let [saving, resuming] = []
  return {
    async before() {
      source.changeAll()
      resuming = await destination.device.setState(DeviceState.RESUMING)
    },
    async once() {
      saving = await source.device.setState(DeviceState.STOP_COPY)
      drain(saving, (lease) => take(resuming, lease))
    },
    async after() {
      await destination.device.setState(DeviceState.RUNNING)
      await source.device.setState(DeviceState.RUNNING)
      samePieces(source.memory, destination.memory)
      saving.close()
      resuming.close()
    },
  }
}

function fillWindows(session, lease) {
  for (let at = 0; at < lease.length;) {
    const window = session.window(CALL_BYTES)
    const bytes = Math.min(window.length, lease.length - at)
    window.set(lease.subarray(at, at + bytes))
    session.commit(bytes)
    at += bytes
  }
}

function byTransfers({ source, destination }, options) {
  let here
  /** @type {Promise<unknown> | undefined} */
  let restoring
  return {
    async before() {
      source.changeAll()
      // Nothing is buffered between the two: a chunk is handed over as it lies.
      const [mine, there] = memoryPair({ highWaterMark: 0 })
      here = mine
      restoring = restore(destination.device, there, options)
      while ((await destination.device.state()) !== DeviceState.RESUMING) await new Promise(setImmediate)
    },
    async once() {
      await save(source.device, here, options)
      await restoring
    },
    async after() {
      await source.device.setState(DeviceState.RUNNING)
      samePieces(source.memory, destination.memory)
    },
  }
}
