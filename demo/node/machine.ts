/**
 * Machines of the demo for a Node process, as a device module of the `stopcopy` command: a display or a whole PC, by
 * what is offered.
 *
 * ```sh
 * npx stopcopy receive ./demo/dist/node/machine.js --listen ws:127.0.0.1:4291/take \
 *   --allow-origin http://127.0.0.1:4280 --keep
 * ```
 *
 * @module
 */

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { DeviceOffer, Driver } from 'stopcopy'
import { createFramebufferMachine } from '../machines/framebuffer-machine.ts'
import { kindForDevice } from '../machines/kinds.ts'
import type { Machine } from '../machines/machine-kind.ts'
import { emptyPc } from '../machines/v86-machine.ts'

/** A machine without a screen, and what the command asks of it. */
export interface NodeMachine {
  /** Its kind, for people. */
  readonly name: string
  readonly machine: Machine
  readonly driver: Driver
  readonly describe: () => string
  readonly destroy: () => Promise<void>
}

const UNSEEN = { onPicture: (): void => {}, onTick: (): void => {} }

/** Makes one that can take over what is offered, and a display where nothing is. */
export default async function createDevice(offer: DeviceOffer): Promise<NodeMachine> {
  const { type = 'framebuffer', configuration } = offer
  const { title } = kindForDevice(type, configuration)
  const machine =
    type === 'v86' ? await emptyPc(UNSEEN, await v86Wasm(), configuration) : createFramebufferMachine(UNSEEN)
  return {
    name: title,
    machine,
    driver: machine.driver,
    describe: () => `tick ${machine.ticks()}`,
    destroy: async () => machine.destroy?.(),
  }
}

async function v86Wasm(): Promise<Uint8Array<ArrayBuffer>> {
  const script = createRequire(import.meta.url).resolve('v86')
  return new Uint8Array(await readFile(join(dirname(script), 'v86.wasm')))
}
