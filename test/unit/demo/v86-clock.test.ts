/** The guest's clock over several restores. v86's own `set_tsc` is right for the first one only. */

import { describe, expect, it } from 'vitest'
import {
  readDeviceState,
  restoreDeviceState,
  saveDeviceState,
} from '../../../demo/devices/v86/device-state.ts'
import { loadEmulator } from '../../../demo/devices/v86/emulator.ts'
import type { V86Core } from '../../../demo/devices/v86/internals.ts'
import { V86_WASM } from '../../support/v86-machine.ts'

/** v86 counts nanoseconds. */
const COUNTS_PER_MS = 1e6

function counterOf({ cpu }: V86Core): number {
  cpu.wm.exports.store_current_tsc()
  const [low, high] = [cpu.current_tsc[0] ?? 0, cpu.current_tsc[1] ?? 0]
  return low + high * 2 ** 32
}

describe('the time stamp counter of a machine', () => {
  it('goes on from what was saved, however often a state was taken over before', async () => {
    const { v86, internals } = await loadEmulator(
      { wasm: V86_WASM },
      { memoryBytes: 2 ** 20, vgaMemoryBytes: 2 ** 20 },
    )
    const { core } = internals
    const room = new Uint8Array(2 ** 20)
    const bytes = room.subarray(0, saveDeviceState(core, room))
    const saved = counterOf(core)
    // An age that cannot be taken for the time of a restore.
    core.cpu.wm.exports.set_tsc(0, 0x1000)
    for (let round = 0; round < 6; round++) {
      const sinceMs = performance.now()
      restoreDeviceState(core, readDeviceState(bytes, core))
      const passed = counterOf(core) - saved
      expect(Math.abs(passed)).toBeLessThan((performance.now() - sinceMs + 1000) * COUNTS_PER_MS)
    }
    await v86.destroy()
  })
})
