/** Machines of the demo, and what can be seen of them from outside. @module */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { DeviceState, VfioDevice } from 'stopcopy'
import { createV86Machine, type V86Machine, type V86MachineOptions } from '../../demo/devices/v86/index.ts'

/** v86.wasm of the installed package. */
export const V86_WASM: Uint8Array<ArrayBuffer> = new Uint8Array(
  readFileSync(new URL('../../node_modules/v86/build/v86.wasm', import.meta.url)),
)

/** Everything that machines said on COM1, in the order in which they said it. */
export class Serial {
  text = ''
  #waiting: { length: number; resolve: () => void }[] = []

  readonly take = (byte: number): void => {
    this.text += String.fromCharCode(byte)
    for (const { length, resolve } of this.#waiting) if (this.text.length >= length) resolve()
  }

  /** The whole lines so far, as numbers. */
  get ticks(): number[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => (/^[0-9A-F]{8}$/.test(line) ? Number.parseInt(line, 16) : Number.NaN))
  }

  /** Resolves when `count` more ticks were told. */
  more(count: number): Promise<void> {
    const length = this.text.length + 9 * count
    return new Promise((resolve) => this.#waiting.push({ length, resolve }))
  }
}

/** A machine and the device that it is. */
export interface OpenMachine {
  readonly machine: V86Machine
  readonly device: VfioDevice
  /** Called when the machine is about to run, its content complete. */
  beforeRun: () => void
  close(): Promise<void>
}

/** Opens a machine; it runs. */
export async function openMachine(options: Partial<V86MachineOptions> = {}): Promise<OpenMachine> {
  const machine = await createV86Machine({ wasm: V86_WASM, ...options })
  const { driver } = machine
  const transition = driver.transition.bind(driver)
  const opened: { beforeRun: () => void } = { beforeRun: () => {} }
  driver.transition = (from, to, signal) => {
    if (from === DeviceState.STOP && (to === DeviceState.RUNNING || to === DeviceState.RUNNING_P2P))
      opened.beforeRun()
    return transition(from, to, signal)
  }
  const device = await VfioDevice.open(driver)
  return Object.assign(opened, {
    machine,
    device,
    close: async () => {
      await device.close()
      await machine.destroy()
    },
  })
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
