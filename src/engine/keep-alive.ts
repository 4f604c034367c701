/**
 * A program that waits for a worker.
 *
 * @module
 */

/** Keeps the program alive until the returned function is called: a worker thread by itself does not. */
export function keepAlive(): () => void {
  const timer = setInterval(() => {}, 0x7fff_ffff)
  return () => clearInterval(timer)
}
