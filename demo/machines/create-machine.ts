/**
 * Makes machines, in the Worker that they live in. What only one kind needs is fetched when it is asked for.
 *
 * @module
 */

import v86Wasm from 'v86/build/v86.wasm?url'
import { createFramebufferMachine } from './framebuffer-machine.ts'
import type { MachineFactory } from './machine-kind.ts'

/** By the id of their kind. */
export const MACHINE_FACTORIES: Readonly<Record<string, MachineFactory>> = {
  framebuffer: (host) => Promise.resolve(createFramebufferMachine(host)),
  pc: pcOf('pc'),
  linux: pcOf('linux'),
  image: pcOf('image'),
}

function pcOf(kind: string): MachineFactory {
  return async (host, { files, configuration }) => {
    const { bootPc, emptyPc } = await import('./v86-machine.ts')
    const wasm = new URL(v86Wasm, import.meta.url)
    return configuration === undefined ? bootPc(host, wasm, kind, files) : emptyPc(host, wasm, configuration)
  }
}
