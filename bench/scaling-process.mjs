/**
 * Saves a device in this process, or saves it and restores another, and sends the time and the peak of memory
 * to the parent.
 *
 * @module
 */
import { DeviceState } from 'stopcopy'
import { drain, openBulk } from './data/bulk-device.mjs'
import { timeOnce } from './harness/measure.mjs'

const RUNS = 4
const [what, size] = [process.argv[2], Number(process.argv[3])]
const peak = () => process.resourceUsage().maxRSS * 1024
const before = peak()
const { device } = await openBulk(size)
const destination = what === 'both' ? (await openBulk(size, { role: 'destination' })).device : undefined
const seconds = []
for (let run = 0; run < RUNS; run++) {
  const resuming = await destination?.setState(DeviceState.RESUMING)
  let saving
  seconds.push(
    await timeOnce(what, async () => {
      saving = await device.setState(DeviceState.STOP_COPY)
      drain(saving, (lease) => resuming?.write(lease))
    }),
  )
  await destination?.setState(DeviceState.RUNNING)
  await device.setState(DeviceState.RUNNING)
  saving.close()
  resuming?.close()
}
const [, median] = seconds.slice(1).toSorted((a, b) => a - b)
const deviceBytes = destination === undefined ? size : 2 * size
process.send({ seconds: median, peakBytes: peak() - before, deviceBytes }, () => process.disconnect())
