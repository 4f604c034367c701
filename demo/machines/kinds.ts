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
  {
    id: 'linux',
    title: 'Linux (v86)',
    hint: 'A real kernel in 64 MiB · b makes it busy, i idle',
    deviceType: 'v86',
    guest: 'linux',
  },
  {
    id: 'image',
    title: 'Your image (v86)',
    hint: 'Drop a disk, floppy, CD or Linux kernel on the page, or choose it with O',
    deviceType: 'v86',
    guest: 'image',
  },
]

/** The kind of that id. @throws RangeError when there is none */
export function kindOf(id: string): MachineKind {
  const kind = MACHINE_KINDS.find((one) => one.id === id)
  if (kind === undefined) throw new RangeError(`Cannot make a machine: there is no kind "${id}"`)
  return kind
}

/** The kind for a device of another place. */
export function kindForDevice(
  deviceType: string,
  configuration: Readonly<Record<string, string | number | bigint | boolean>> = {},
): MachineKind {
  const guest = configuration['v86.guest']
  const kind = MACHINE_KINDS.find((one) => one.deviceType === deviceType && one.guest === guest)
  if (kind !== undefined) return kind
  const name = guest === undefined ? deviceType : `${deviceType} (${String(guest)})`
  throw new RangeError(`Cannot take a device of type "${name}": this page has none, see kinds.ts`)
}
