/**
 * What makes a display draw: one call per picture.
 *
 * @module
 */

/** A clock; it is stopped when it is made. */
export interface PictureClock {
  /** Calls `tick` again and again; before it returned only where it had been stopped. */
  start(tick: () => void): void
  /** May call `tick` once more; no call after it. */
  stop(): void
  /** No call after it, for good. */
  end?(): void
  /** Goes at `100 - percent` percent of its speed. */
  slow?(percent: number): void
}

/** A clock of so many pictures a second, on timers: it goes on in a hidden tab, unlike animation frames. */
export function timerClock(picturesPerSecond = 60): PictureClock {
  let timer: ReturnType<typeof setTimeout> | undefined
  let speed = 1
  let draw: (() => void) | undefined
  let wasStopped = false
  return {
    start(tick) {
      draw = tick
      let due = performance.now()
      // Who looks at a machine that is moved sees it stand still for as long as it is stopped and no longer:
      // the last picture is drawn when it stops, the first one when it starts again.
      if (wasStopped) {
        tick()
        due += 1000 / (picturesPerSecond * speed)
      }
      const next = (): void => {
        const now = performance.now()
        // Pictures that were missed are not caught up with.
        due = Math.max(due, now)
        timer = setTimeout(() => {
          due += 1000 / (picturesPerSecond * speed)
          next()
          tick()
        }, due - now)
      }
      next()
    },
    stop() {
      clearTimeout(timer)
      timer = undefined
      const last = draw
      draw = undefined
      wasStopped ||= last !== undefined
      last?.()
    },
    end() {
      clearTimeout(timer)
      draw = undefined
      wasStopped = false
    },
    slow(percent) {
      speed = (100 - percent) / 100
    },
  }
}
