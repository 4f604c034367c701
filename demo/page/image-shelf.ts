/**
 * The images that machines can be made of: those that are served beside the page, and those that were dropped.
 *
 * @module
 */

import { type DroppedFile, type GuestFiles, NO_FILES, type ServedGuests } from '../machines/guest-files.ts'
import { BOOTABLE, FORM_NAMES, formOfFile } from '../machines/image-form.ts'

/** What became of a file. */
export type Shelved =
  | { readonly as: 'stream' }
  /** Machines can boot from it, with what is there already. */
  | { readonly as: 'image'; readonly words: string }
  /** It is of use with others. */
  | { readonly as: 'part'; readonly words: string }

/** Keeps the last file of each form, and tells of each change. */
export class ImageShelf {
  readonly #changed: (files: GuestFiles) => void
  #files: GuestFiles = NO_FILES

  constructor(changed: (files: GuestFiles) => void) {
    this.#changed = changed
  }

  /** Looks for what is served. */
  async begin(): Promise<void> {
    const folder = new URL('guest/', document.baseURI).href
    const response = await fetch(new URL('index.json', folder)).catch(() => undefined)
    const served = response?.ok === true ? ((await response.json()) as ServedGuests) : {}
    this.#change({ ...this.#files, folder, served })
  }

  /** @throws Error for a file that no machine has a place for */
  async put(file: File): Promise<Shelved> {
    const form = await formOfFile(file)
    if (form === 'stream' || file.name.endsWith('.stopcopy')) return { as: 'stream' }
    if (form === undefined)
      throw new Error(
        `Cannot use ${file.name}: it is no saved machine, disk, floppy, CD, Linux kernel or BIOS that is known here`,
      )
    const boots = BOOTABLE.includes(form)
    // One image at a time, one BIOS of each sort.
    const others = this.#files.dropped.filter((one) =>
      boots ? !BOOTABLE.includes(one.form) : one.form !== form,
    )
    const dropped: DroppedFile = { name: file.name, form, blob: file }
    this.#change({ ...this.#files, dropped: [...others, dropped] })
    const words = `${file.name} is ${FORM_NAMES[form]}`
    return boots ? { as: 'image', words } : { as: 'part', words: `${words}, for the next image` }
  }

  #change(files: GuestFiles): void {
    this.#files = files
    this.#changed(files)
  }
}
