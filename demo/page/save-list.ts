/**
 * The machines that were saved in the browser.
 *
 * @module
 */

import { savesFolder } from '../worker/saved-files.ts'
import { element, formatBytes, make } from './format.ts'

/** Lists the saves; each can be loaded, taken out and removed. */
export class SaveList {
  readonly #load: (file: File) => void

  constructor(load: (file: File) => void) {
    this.#load = load
  }

  async show(): Promise<void> {
    const files: File[] = []
    try {
      const folder = await savesFolder()
      for await (const handle of folder.values()) {
        if (handle.kind === 'file') files.push(await handle.getFile())
      }
    } catch {
      element('saves-note').textContent = 'this browser keeps none here'
      return
    }
    files.sort((a, b) => b.lastModified - a.lastModified)
    element('saves-note').textContent = files.length === 0 ? 'none yet' : `${files.length} in this browser`
    element('saves').replaceChildren(...files.map((file) => this.#item(file)))
  }

  #item(file: File): HTMLElement {
    const button = (text: string, label: string, act: () => unknown): HTMLElement => {
      const made = make('button', { class: 'small', 'aria-label': `${label} ${file.name}` }, text)
      made.addEventListener('click', () => void act())
      return made
    }
    return make(
      'li',
      {},
      make('span', { class: 'name', title: file.name }, file.name.replace(/^[a-z]+-|\.stopcopy$/g, '')),
      make('span', { class: 'quiet' }, formatBytes(file.size)),
      button('Load', 'Load', () => this.#load(file)),
      button('↓', 'Download', () => download(file)),
      button('×', 'Remove', async () => {
        await (await savesFolder()).removeEntry(file.name)
        await this.show()
      }),
    )
  }
}

function download(file: File): void {
  const url = URL.createObjectURL(file)
  make('a', { href: url, download: file.name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
