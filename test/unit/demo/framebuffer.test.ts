/** The display of the demo. It uses the package's public names, so these tests need a build. */

import { createHash } from 'node:crypto'
import { DeviceState, migrate, restore, save, VfioDevice } from 'stopcopy'
import { conformance } from 'stopcopy/testing'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createFramebuffer,
  type Framebuffer,
  FRAMEBUFFER_ID,
  FramebufferRegister,
  Key,
  PICTURE_BYTES,
  WIDTH,
} from '../../../demo/devices/framebuffer/index.ts'
import { MAP_COUNT, MAPS_OFFSET, PARTICLES_OFFSET } from '../../../demo/devices/framebuffer/memory-map.ts'

interface Display {
  readonly driver: Framebuffer
  readonly device: VfioDevice
  /** Draws so many pictures, if the device runs. */
  draw(count: number): void
}

const opened: VfioDevice[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((device) => device.close()))
})

/** A display whose clock is the test. */
async function openDisplay(): Promise<Display> {
  let tick: (() => void) | undefined
  const clock = { start: (next: () => void) => void (tick = next), stop: () => void (tick = undefined) }
  const driver = createFramebuffer({ clock })
  const device = await VfioDevice.open(driver)
  opened.push(device)
  return {
    driver,
    device,
    draw(count) {
      for (let i = 0; i < count; i++) tick?.()
    },
  }
}

function readWord({ device }: Display, offset: number): number {
  const word = new Uint8Array(4)
  device.regions?.read(0, offset, word)
  return new DataView(word.buffer).getUint32(0, true)
}

function writeWord({ device }: Display, offset: number, value: number): void {
  device.regions?.write(0, offset, new Uint8Array(Uint32Array.of(value).buffer))
}

/** A digest: comparing megabytes one by one takes seconds. */
function memoryOf({ driver }: Display): string {
  return digest(driver.memory.video.bytes)
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

describe('framebuffer', () => {
  it('says who it is and counts the pictures it draws', async () => {
    const display = await openDisplay()
    display.draw(7)
    expect(readWord(display, FramebufferRegister.ID)).toBe(FRAMEBUFFER_ID)
    expect(readWord(display, FramebufferRegister.TICK)).toBe(7)
    expect(display.driver.memory.video.bytes.subarray(0, PICTURE_BYTES).some((pixel) => pixel > 0)).toBe(true)
  })

  it('draws on where it stopped: at the destination as it would have done at the source', async () => {
    const [stayed, source, destination] = await Promise.all([openDisplay(), openDisplay(), openDisplay()])
    for (const display of [stayed, source]) {
      display.draw(100)
      writeWord(display, FramebufferRegister.POINTER, 320 | (100 << 16))
      writeWord(display, FramebufferRegister.BUTTONS, 3)
      writeWord(display, FramebufferRegister.KEY, Key.BURST)
      display.draw(20)
    }
    await migrate(source.device, destination.device)
    expect(destination.driver.state.tick).toBe(120n)
    expect(memoryOf(destination)).toBe(memoryOf(source))
    stayed.draw(300)
    destination.draw(300)
    expect(destination.driver.state.tick).toBe(420n)
    expect(memoryOf(destination)).toBe(memoryOf(stayed))
    // The one that went draws no more.
    source.draw(1)
    expect(source.driver.state.tick).toBe(120n)
  })

  it('is moved without a gap while it draws, with every page that it wrote', async () => {
    const [source, destination] = await Promise.all([openDisplay(), openDisplay()])
    source.draw(50)
    const pictures: bigint[] = []
    const report = await migrate(source.device, destination.device, {
      onProgress: ({ phase }) => {
        if (phase !== 'precopy') return
        source.draw(3)
        pictures.push(source.driver.state.tick)
      },
    })
    expect(report.owner).toBe('destination')
    expect(pictures.length).toBeGreaterThan(0)
    expect(destination.driver.state.tick).toBe(pictures.at(-1))
    expect(memoryOf(destination)).toBe(memoryOf(source))
  })

  it('is the same after a file', async () => {
    const [source, destination] = await Promise.all([openDisplay(), openDisplay()])
    source.draw(30)
    const chunks: Uint8Array[] = []
    const sink = new WritableStream<Uint8Array>({ write: (chunk) => void chunks.push(chunk.slice()) })
    await save(source.device, sink)
    await restore(destination.device, new Blob(chunks as BlobPart[]).stream())
    expect(memoryOf(destination)).toBe(memoryOf(source))
  })

  it('draws inside the picture whatever a stream put where the particles are', async () => {
    const display = await openDisplay()
    const { bytes } = display.driver.memory.video
    for (let at = PARTICLES_OFFSET; at < bytes.length; at++) bytes[at] = (at * 167) & 0xff
    const wind = digest(bytes.subarray(MAPS_OFFSET, MAPS_OFFSET + PICTURE_BYTES * MAP_COUNT))
    display.draw(20)
    expect(digest(bytes.subarray(MAPS_OFFSET, PARTICLES_OFFSET))).toBe(wind)
    expect(bytes.subarray(PICTURE_BYTES, MAPS_OFFSET).every((byte) => byte === 0)).toBe(true)
  })

  it('changes what it draws with its input registers, and drops what is out of bounds', async () => {
    const [display, other] = await Promise.all([openDisplay(), openDisplay()])
    writeWord(display, FramebufferRegister.POINTER, WIDTH | (10 << 16))
    expect(readWord(display, FramebufferRegister.POINTER)).toBe(0)
    writeWord(display, FramebufferRegister.POINTER, 100 | (100 << 16))
    writeWord(display, FramebufferRegister.BUTTONS, 3)
    writeWord(display, FramebufferRegister.KEY, Key.NEXT_THEME)
    expect(readWord(display, FramebufferRegister.THEME)).toBe(1)
    expect(display.driver.state.palette).not.toEqual(other.driver.state.palette)
    display.draw(10)
    other.draw(10)
    expect(memoryOf(display)).not.toBe(memoryOf(other))
    expect(() => display.device.regions?.read(0, 42, new Uint8Array(4))).toThrow('stay inside')
  })

  it('does not draw while it is stopped or its engine is off', async () => {
    const display = await openDisplay()
    await display.device.setState(DeviceState.STOP)
    display.draw(5)
    await display.device.setState(DeviceState.RUNNING)
    writeWord(display, FramebufferRegister.CONTROL, 0)
    display.draw(5)
    expect(readWord(display, FramebufferRegister.TICK)).toBe(0)
  })

  it('draws on its own clock', async () => {
    const drawn = await new Promise<bigint>((resolve) => {
      const driver: Framebuffer = createFramebuffer({ onPicture: () => resolve(driver.state.tick) })
      void VfioDevice.open(driver).then((device) => opened.push(device))
    })
    expect(drawn).toBe(1n)
  })

  for (const test of conformance(() => VfioDevice.open(createFramebuffer()))) {
    it(`conforms: ${test.name}`, () => test.run())
  }
})
