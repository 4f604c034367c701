/** The devices of these tests, with something in them and a way to look at it. @module */

import type { MigrationDevice } from '../../../src/device/migration-device.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/mtty/mtty.ts'
import { defineDevice } from '../../../src/driver/define-device.ts'
import { u32 } from '../../../src/driver/schema.ts'
import { VfioError } from '../../../src/errors.ts'
import { save } from '../../../src/migrate/save.ts'
import { FaultyDevice } from '../../../src/testing/faulty-device.ts'
import { RecordingSink } from './byte-ends.ts'

/** Bytes of device memory: several frames, and no whole page at the end. */
export const MEMORY_BYTES = 1_000_001

/** A device with registers and memory: data, a long run of zero pages, data again. */
export function createSampler() {
  return defineDevice({
    type: 'sampler',
    version: 1,
    state: { cursor: u32({ max: MEMORY_BYTES }) },
    memory: { samples: { byteLength: MEMORY_BYTES } },
  })
}

/** One kind of device, to be saved and restored. */
export interface Kind {
  readonly name: string
  /** `filled`: with content worth saving. */
  open(filled: boolean): Promise<{ device: VfioDevice; content: () => Uint8Array }>
}

function mttyKind(ports: 1 | 2): Kind {
  return {
    name: `mtty of ${ports} port(s)`,
    async open(filled) {
      const device = await VfioDevice.open(createMtty({ ports }))
      if (filled) {
        for (let port = 0; port < ports; port++) device.regions?.write(port, 7, Uint8Array.of(0xa5 + port))
      }
      return { device, content: () => mttyContent(device, ports) }
    },
  }
}

/** The scratch registers: what tells a filled mtty from one at power-on. */
export function mttyContent(device: VfioDevice, ports: number): Uint8Array {
  const content = new Uint8Array(ports)
  for (let port = 0; port < ports; port++) device.regions?.read(port, 7, content.subarray(port, port + 1))
  return content
}

const samplerKind: Kind = {
  name: 'a defined device with memory',
  async open(filled) {
    const driver = createSampler()
    const device = await VfioDevice.open(driver)
    if (filled) {
      driver.state.cursor = 4711
      driver.memory.samples.write(3000, new Uint8Array(300_000).fill(7))
      driver.memory.samples.write(MEMORY_BYTES - 5000, new Uint8Array(5000).fill(9))
    }
    const content = (): Uint8Array => {
      const bytes = new Uint8Array(MEMORY_BYTES + 4)
      bytes.set(driver.memory.samples.bytes)
      new DataView(bytes.buffer).setUint32(MEMORY_BYTES, driver.state.cursor)
      return bytes
    }
    return { device, content }
  },
}

/** An opaque one of each size, and one that speaks the checked format itself. */
export const KINDS: readonly Kind[] = [mttyKind(1), mttyKind(2), samplerKind]

/** The whole saved stream of a filled device. */
export async function savedStream(kind: Kind): Promise<Uint8Array> {
  const { device } = await kind.open(true)
  const sink = new RecordingSink()
  await save(device, sink)
  await device.close()
  return sink.bytes
}

/** The kind of a name. */
export function kindNamed(name: string): Kind {
  return KINDS.find((kind) => kind.name === name) as Kind
}

/** `device` with some of its calls replaced. */
export function overridden(device: VfioDevice, calls: Partial<MigrationDevice>): MigrationDevice {
  return {
    identity: device.identity,
    migrationFlags: () => device.migrationFlags(),
    state: () => device.state(),
    setState: (target, options) => device.setState(target, options),
    reset: () => device.reset(),
    close: () => device.close(),
    dmaLoggingStart: (options) => device.dmaLoggingStart(options),
    dmaLoggingReport: (range, bitmap) => device.dmaLoggingReport(range, bitmap),
    dmaLoggingStop: () => device.dmaLoggingStop(),
    ...calls,
  }
}

/** A driver whose reset fails too. */
export class HopelessDevice extends FaultyDevice {
  override reset(): void {
    this.resets++
    throw new VfioError('EIO', 'Cannot reset: the hardware does not answer')
  }
}
