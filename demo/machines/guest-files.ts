/**
 * Images that are not the page's own: those that are served beside it, and those that a person dropped.
 *
 * @module
 */

import type { V86Image } from '../devices/v86/index.ts'
import type { ImageForm } from './image-form.ts'

/** What is served beside the page: `guest/index.json`, written by the build from what it found. */
export interface ServedGuests {
  /** SeaBIOS, its two files: `bios.bin` and `vgabios.bin`. */
  readonly seabios?: boolean
  /** The Linux guest that `demo/guest/build.sh` builds: `bzImage`. */
  readonly linux?: { readonly memoryBytes: number; readonly commandLine: string }
}

/** A file that a person gave. */
export interface DroppedFile {
  readonly name: string
  readonly form: ImageForm
  readonly blob: Blob
}

/** Everything that machines can be made of. */
export interface GuestFiles {
  /** URL of the folder of served files, with a slash at its end. */
  readonly folder: string
  readonly served: ServedGuests
  /** The last of each form. */
  readonly dropped: readonly DroppedFile[]
}

/** None at all. */
export const NO_FILES: GuestFiles = { folder: '', served: {}, dropped: [] }

/** A served file. @throws Error when it is not there */
export async function servedFile({ folder }: GuestFiles, name: string): Promise<V86Image> {
  const response = await fetch(new URL(name, folder))
  if (!response.ok) throw new Error(`Cannot fetch ${name}: ${response.status} ${response.statusText}`)
  return response.arrayBuffer()
}

/** System and video BIOS: dropped ones, or SeaBIOS as served; undefined where there is none. */
export async function biosOf(files: GuestFiles): Promise<{ bios: V86Image; vgaBios?: V86Image } | undefined> {
  const dropped = async (form: ImageForm): Promise<V86Image | undefined> =>
    files.dropped.find((file) => file.form === form)?.blob.arrayBuffer()
  const bios = await dropped('bios')
  const vgaBios = await dropped('vga-bios')
  if (bios !== undefined) return { bios, ...(vgaBios === undefined ? {} : { vgaBios }) }
  if (files.served.seabios !== true) return undefined
  return {
    bios: await servedFile(files, 'bios.bin'),
    vgaBios: vgaBios ?? (await servedFile(files, 'vgabios.bin')),
  }
}
