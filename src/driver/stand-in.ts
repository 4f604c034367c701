/**
 * The stand-in of every defined device: what a rehearsal hands over, to run the code of a hand-over once.
 *
 * @module
 */

import { createEngine, type EngineVariant } from '../engine/index.ts'
import type { DeviceDefinition } from './define-device.ts'
import { array, bool, type Schema, u32, u64 } from './schema.ts'

const MEMORY_BYTES: number = 512 * 1024
/** For the memory, the session's own and the windows. */
const ENGINE_BYTES: number = 4 * 1024 * 1024
const PAGE_BYTES = 4096
const LAST_PAGES = 24

/**
 * Its definition, with an engine that goes when it does; none without WebAssembly.
 *
 * @param variant - of the device that it stands in for
 */
export async function standInDefinition(
  variant: EngineVariant,
): Promise<DeviceDefinition<Schema, 'ram'> | undefined> {
  // Its kernels take seconds: more than can be gained.
  if (variant === 'reference') return undefined
  return {
    type: 'stand-in',
    version: 1,
    engine: await createEngine({ memoryBytes: ENGINE_BYTES, variant }),
    state: { control: u32(), isOn: bool(), clock: u64(), queue: array(u32(), 16) },
    memory: { ram: { byteLength: MEMORY_BYTES } },
    // Zero pages take a shorter way than others.
    reset: ({ memory: { ram } }) => void ram.bytes.fill(1, 0, MEMORY_BYTES / 2),
    quiesce: ({ memory: { ram } }) => ram.mark(0, LAST_PAGES * PAGE_BYTES),
  }
}
