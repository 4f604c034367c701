/**
 * Many small devices: an mtty's state is 60 bytes, so what counts is what a transition costs.
 *
 * @module
 */
import { DeviceState, memoryPair, restore, save, VfioDevice } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'

/** Cycles of one timed run: long beside the clock. */
const CYCLES = { full: 2000, quick: 200 }
const PROFILES = ['exact', 'strict']
const GROWTH = 'heap growth'
const TRANSFER = 'save() and restore() over memoryPair'
const PARTS = ['open', 'save', 'restore', 'close', TRANSFER]

export const rounds = { full: 7, quick: 2 }
export const names = [
  ...PROFILES.map((profile) => `mtty cycle, ${profile}`),
  ...PARTS.map((part) => `devices: ${part}`),
  GROWTH,
]

export async function open({ quick }) {
  const count = quick ? 200 : 10_000
  const growthCycles = quick ? 10_000 : 1_000_000
  const devices = await Promise.all(PROFILES.map((profile) => VfioDevice.open(createMtty({ profile }))))
  const buffer = new Uint8Array(4096)
  const cyclesPerRun = CYCLES[quick ? 'quick' : 'full']
  const cycles = PROFILES.map((profile, index) => ({
    name: `mtty cycle, ${profile}`,
    operations: cyclesPerRun,
    once: async () => {
      for (let n = 0; n < cyclesPerRun; n++) await cycle(devices[index], buffer)
    },
  }))
  return {
    title: `Small devices: mtty with one port, and ${count.toLocaleString('en')} of them`,
    notes: [
      'A cycle: RUNNING to STOP_COPY, the stream read, RESUMING, the stream written, RUNNING; the time is that of one cycle or one device.',
      `The devices are opened, saved one after the other to STOP, restored one after the other and closed; by setState, read and write, and once more by save and restore, which wrap the 60 bytes in the checked format.`,
    ],
    cases: [...cycles, ...fleet(count, buffer), growth(devices[0], growthCycles, buffer)],
    targets: [
      {
        name: 'mtty cycle, exact, one port',
        asked: 30,
        sense: 'under',
        unit: 'µs',
        of: (figures) => figures.seconds('mtty cycle, exact')?.map((seconds) => seconds * 1e6),
      },
      {
        // One lost object of the smallest size in each cycle would be 16.
        name: `heap growth over ${growthCycles.toLocaleString('en')} cycles`,
        asked: 1,
        sense: 'under',
        unit: 'bytes per cycle',
        // What V8 itself allocates now and then outweighs the cycles of a quick run.
        of: (figures) => (quick ? undefined : figures.values(GROWTH)),
      },
    ],
  }
}

/** RUNNING to RUNNING, through a whole save and a whole restore. */
async function cycle(device, buffer) {
  const saving = await device.setState(DeviceState.STOP_COPY)
  const bytes = saving.read(buffer)
  const resuming = await device.setState(DeviceState.RESUMING)
  resuming.write(buffer.subarray(0, bytes))
  await device.setState(DeviceState.RUNNING)
  saving.close()
  resuming.close()
}

/** Cases over many devices: one part of their life each, the others before and after it. */
function fleet(count, buffer) {
  const devices = []
  const streams = []
  const forEach = async (run) => {
    for (let n = 0; n < count; n++) await run(n)
  }
  const openAll = () => forEach(async (n) => void (devices[n] = await VfioDevice.open(createMtty())))
  const closeAll = () => forEach((n) => devices[n].close())
  const saveAll = () =>
    forEach(async (n) => {
      const session = await devices[n].setState(DeviceState.STOP_COPY)
      streams[n] = buffer.slice(0, session.read(buffer))
      await devices[n].setState(DeviceState.STOP)
      session.close()
    })
  const restoreAll = () =>
    forEach(async (n) => {
      const session = await devices[n].setState(DeviceState.RESUMING)
      session.write(streams[n])
      await devices[n].setState(DeviceState.RUNNING)
      session.close()
    })
  const transferAll = () =>
    forEach(async (n) => {
      const [here, there] = memoryPair()
      // The whole stream fits the pair: it stops, and starts again from what it sent.
      await save(devices[n], here)
      await restore(devices[n], there)
    })
  const savedAll = async () => {
    await openAll()
    await saveAll()
  }
  const parts = [
    { once: openAll, after: closeAll },
    { before: openAll, once: saveAll, after: closeAll },
    { before: savedAll, once: restoreAll, after: closeAll },
    { before: openAll, once: closeAll },
    { before: openAll, once: transferAll, after: closeAll },
  ]
  return PARTS.map((part, index) => ({ name: `devices: ${part}`, operations: count, ...parts[index] }))
}

/** What cycles leave behind after a collection; as many as a tenth of them warm up. */
function growth(device, count, buffer) {
  return {
    name: GROWTH,
    async measure(step) {
      const marks = []
      for (let tenth = 0; tenth <= 10; tenth++) {
        for (let n = 0; n < count / 10; n++) await cycle(device, buffer)
        marks.push(memoryUsed())
        step(tenth / 10)
      }
      const rows = marks.map(({ heap, rss }, tenth) => [
        ((count / 10) * tenth).toLocaleString('en'),
        (heap / 1e6).toFixed(2),
        (rss / 1e6).toFixed(1),
      ])
      return {
        values: [(marks.at(-1).heap - marks[0].heap) / count],
        table: { header: ['cycles', 'heap and external, MB', 'RSS, MB'], rows },
      }
    },
  }
}

function memoryUsed() {
  // Twice: what finalizers let go of is collected by the second.
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, rss }
}
