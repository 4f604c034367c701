/**
 * The kinds of machines that the page offers, the first one at once. `create-machine.ts` makes them.
 *
 * @module
 */

import type { MachineKind } from './machine-kind.ts'

export const MACHINE_KINDS: readonly MachineKind[] = [
  {
    id: 'framebuffer',
    title: 'Display',
    hint: 'Point and press to stir · Space bursts · Enter changes colours · ← → turn the wind',
    deviceType: 'framebuffer',
  },
  {
    id: 'pc',
    title: 'PC (v86)',
    hint: 'Boots our own 512 bytes · any key moves its colours',
    deviceType: 'v86',
  },
]

/** The kind of that id. @throws RangeError when there is none */
export function kindOf(id: string): MachineKind {
  const kind = MACHINE_KINDS.find((one) => one.id === id)
  if (kind === undefined) throw new RangeError(`Cannot make a machine: there is no kind "${id}"`)
  return kind
}

/** The kind for a device of another place: that of the id if it fits, or the first that does. */
export function kindForDevice(deviceType: string, id: string): MachineKind {
  const fitting = MACHINE_KINDS.filter((kind) => kind.deviceType === deviceType)
  const kind = fitting.find((one) => one.id === id) ?? fitting[0]
  if (kind !== undefined) return kind
  throw new RangeError(`Cannot take a device of type "${deviceType}": this page has none, see kinds.ts`)
}
