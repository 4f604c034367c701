/**
 * A driver whose running intervals stand in a file: a line is on its way to the disk before the device may run
 * and after it has stopped, so that the file tells what a killed process did.
 *
 * Lines: `start|stop|reset NANOSECONDS SEQUENCE`, CLOCK_MONOTONIC, which all processes share. A device that was
 * reset has power-on content and no longer counts.
 */
import { openSync, writeSync } from 'node:fs'

const RUNNING = new Set([2, 5, 6, 7])

/** @param options `path`; `owned`: whether the device is one of its own from the start; `slow(from, to)`: ms */
export function recorded(driver, { path, owned, slow = () => 0 }) {
  const fd = openSync(path, 'a')
  const note = (what) => writeSync(fd, `${what} ${process.hrtime.bigint()} ${driver.sequence}\n`)
  let isOwned = owned
  return new Proxy(driver, {
    get(target, name) {
      if (name === 'open') {
        return async () => {
          if (isOwned) writeSync(fd, `start ${process.hrtime.bigint()} 0\n`)
          await target.open()
        }
      }
      if (name === 'transition') {
        return async (from, to, options) => {
          const starts = isOwned && RUNNING.has(to) && !RUNNING.has(from)
          const delayMs = slow(from, to)
          if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
          if (starts) note('start')
          let succeeded = false
          try {
            const end = await target.transition(from, to, options)
            succeeded = true
            return end
          } finally {
            const stops = isOwned && RUNNING.has(from) && !RUNNING.has(to)
            if (succeeded ? stops : starts) note('stop')
            // RESUMING to STOP: what was received is its own now.
            if (succeeded && from === 4 && to === 1) isOwned = true
          }
        }
      }
      if (name === 'reset') {
        return async () => {
          await target.reset()
          if (isOwned) note('reset')
          isOwned = false
        }
      }
      const value = target[name]
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
