/**
 * The display of ours as a machine of the demo.
 *
 * @module
 */

import { createFramebuffer, FramebufferRegister, HEIGHT, Key, WIDTH } from '../devices/framebuffer/index.ts'
import type { Machine, MachineHost, MachineInput } from './machine-kind.ts'

const KEYS: Readonly<Record<string, number>> = {
  Space: Key.BURST,
  Enter: Key.NEXT_THEME,
  ArrowLeft: Key.TURN_LEFT,
  ArrowRight: Key.TURN_RIGHT,
}

/** Makes the display. */
export function createFramebufferMachine(host: MachineHost): Machine {
  const driver = createFramebuffer({
    onPicture: () => {
      host.onTick(Number(driver.state.tick))
      host.onPicture()
    },
  })
  const pixels = new Uint8ClampedArray(WIDTH * HEIGHT * 4)
  const colours = new Uint32Array(pixels.buffer)
  return {
    driver,
    ticks: () => Number(driver.state.tick),
    picture() {
      const { bytes } = driver.memory.video
      const palette = driver.state.palette as Uint32Array
      for (let at = 0; at < colours.length; at++) colours[at] = palette[bytes[at] as number] as number
      return { width: WIDTH, height: HEIGHT, pixels }
    },
    memory: () => [driver.memory.video.bytes],
    input(input) {
      for (const [register, value] of registerWrites(input)) {
        driver.regions?.write(0, register, new Uint8Array(Uint32Array.of(value).buffer))
      }
    },
  }
}

function registerWrites(input: MachineInput): readonly (readonly [register: number, value: number])[] {
  if (input.type === 'key') {
    const key = KEYS[input.code]
    return key === undefined || !input.down ? [] : [[FramebufferRegister.KEY, key]]
  }
  const { x, y, inside, pressed } = input
  return [
    [FramebufferRegister.POINTER, pixelAt(x, WIDTH) | (pixelAt(y, HEIGHT) << 16)],
    [FramebufferRegister.BUTTONS, (pressed ? 1 : 0) | (inside ? 2 : 0)],
  ]
}

function pixelAt(part: number, size: number): number {
  return Math.min(size - 1, Math.max(0, Math.floor(part * size)))
}
