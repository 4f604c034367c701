/**
 * What a machine is made of, as the configuration in its streams tells it.
 *
 * @module
 */

import { VfioError } from 'stopcopy'
import { V86_VERSION } from './internals.ts'
import type { V86MachineOptions } from './options.ts'

/** Names and values that both ends must agree on, by which a machine can be made to fit another's content. */
export function hardware({ guest, hda, cdrom, floppy }: V86MachineOptions): Record<string, string | number> {
  return {
    'v86.version': V86_VERSION,
    ...(guest === undefined ? {} : { 'v86.guest': guest }),
    ...(hda === undefined ? {} : { 'v86.hda': hda.byteLength }),
    ...(cdrom === undefined ? {} : { 'v86.cdrom': cdrom.byteLength }),
    ...(floppy === undefined ? {} : { 'v86.floppy': floppy.byteLength }),
  }
}

/** RAM of the machine that has this configuration. */
const RAM_BYTES_NAME = 'memory.0.bytes'
/** What somebody else's configuration may make this side allocate, at most. */
const MAX_RAM_BYTES: number = 512 * 1024 * 1024
const MAX_DISK_BYTES: number = 256 * 1024 * 1024

/**
 * The options of a machine that can take over what a machine of this configuration held.
 *
 * @throws {VfioError} EINVAL when it is no configuration of a machine
 */
export function optionsFor(
  configuration: Readonly<Record<string, unknown>>,
): Pick<V86MachineOptions, 'memoryBytes' | 'guest' | 'hda' | 'cdrom' | 'floppy'> {
  const disk = (name: string): Partial<V86MachineOptions> => {
    const bytes = configuration[`v86.${name}`]
    if (bytes === undefined) return {}
    if (typeof bytes === 'number' && bytes <= MAX_DISK_BYTES) return { [name]: new Uint8Array(bytes) }
    throw new VfioError(
      'EINVAL',
      `Cannot make a machine: its ${name} passes ${MAX_DISK_BYTES} bytes, use a smaller one`,
    )
  }
  const guest = configuration['v86.guest']
  const memoryBytes = configuration[RAM_BYTES_NAME]
  if (
    typeof memoryBytes !== 'number' ||
    memoryBytes > MAX_RAM_BYTES ||
    (guest !== undefined && typeof guest !== 'string')
  )
    throw new VfioError(
      'EINVAL',
      'Cannot make a machine: this is not the configuration of one with at most 512 MiB',
    )
  return {
    memoryBytes,
    ...(guest === undefined ? {} : { guest }),
    ...disk('hda'),
    ...disk('cdrom'),
    ...disk('floppy'),
  }
}
