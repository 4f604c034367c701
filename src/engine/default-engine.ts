/**
 * The engine of devices that bring none.
 *
 * @module
 */

import { createEngine } from './create-engine.ts'
import type { Engine } from './engine.ts'

let shared: Promise<Engine> | undefined

/** One engine of 32 MiB for the whole process, created at the first call. */
export function defaultEngine(): Promise<Engine> {
  if (shared === undefined) {
    shared = createEngine()
    shared.catch(() => {
      shared = undefined
    })
  }
  return shared
}
