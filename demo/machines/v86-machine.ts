/**
 * A whole PC as a machine of the demo: v86 with our own BIOS and boot sector.
 *
 * @module
 */

import v86Wasm from 'v86/build/v86.wasm?url'
import { TOLD_TICK_ADDRESS } from '../devices/v86/guest/boot-sector.ts'
import { createV86Machine } from '../devices/v86/index.ts'
import type { Machine, MachineHost } from './machine-kind.ts'
import { scancodesOf } from './scancodes.ts'

/** How often its screen is looked at. */
const LOOK_MS = 16
const LINE = /^[0-9A-F]{8}$/

/** Makes the PC; v86 is fetched for it. */
export async function createPcMachine(host: MachineHost): Promise<Machine> {
  let line = ''
  const machine = await createV86Machine({
    wasm: new URL(v86Wasm, import.meta.url),
    // Each tick is told on COM1; of a line that began before a hand-over there is only the rest.
    onSerial: (byte) => {
      if (byte !== 0x0a) {
        line = (line + String.fromCharCode(byte)).slice(-9)
        return
      }
      if (LINE.test(line)) host.onTick(Number.parseInt(line, 16))
      line = ''
    },
  })
  const ticks = (): number => {
    const { buffer, byteOffset } = machine.ram
    return new DataView(buffer, byteOffset).getUint32(TOLD_TICK_ADDRESS, true)
  }
  let seen = -1
  const looking = setInterval(() => {
    const now = ticks()
    if (now === seen) return
    seen = now
    host.onPicture()
  }, LOOK_MS)
  return {
    driver: machine.driver,
    tellsLate: true,
    ticks,
    picture() {
      const frame = machine.frame()
      return frame?.kind === 'graphics' ? frame : undefined
    },
    memory: () => [machine.ram],
    input(input) {
      if (input.type === 'key') machine.sendScancodes(scancodesOf(input.code, input.down))
    },
    async destroy() {
      clearInterval(looking)
      await machine.destroy()
    },
  }
}
