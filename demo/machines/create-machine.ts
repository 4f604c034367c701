/**
 * Makes machines, in the Worker that they live in. What only one kind needs is fetched when it is asked for.
 *
 * @module
 */

import { createFramebufferMachine } from './framebuffer-machine.ts'
import type { MachineFactory } from './machine-kind.ts'

/** By the id of their kind. */
export const MACHINE_FACTORIES: Readonly<Record<string, MachineFactory>> = {
  framebuffer: (host) => Promise.resolve(createFramebufferMachine(host)),
  pc: async (host) => (await import('./v86-machine.ts')).createPcMachine(host),
}
