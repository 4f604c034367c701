/**
 * What makes a display draw: one call per picture.
 *
 * @module
 */

/** A clock; it is stopped when it is made. */
export interface PictureClock {
  /** Calls `tick` again and again; never before it returned. */
  start(tick: () => void): void
  /** No call after it. */
  stop(): void
  /** Goes at `100 - percent` percent of its speed. */
  slow?(percent: number): void
}

/** A clock of so many pictures a second, on timers: it goes on in a hidden tab, unlike animation frames. */
export function timerClock(picturesPerSecond = 60): PictureClock {
  let timer: ReturnType<typeof setTimeout> | undefined
  let speed = 1
  return {
    start(tick) {
      // The first picture comes at once: who looks at a machine that was moved waits for it.
      let due = performance.now()
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
    },
    slow(percent) {
      speed = (100 - percent) / 100
    },
  }
}
