/**
 * The page, for any static host; `npm run demo:web` builds and serves it.
 *
 * @module
 */

import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig, type Plugin } from 'vite'

const GUEST = fileURLToPath(new URL('guest/out', import.meta.url))
const SEABIOS = '/usr/share/seabios'

/**
 * Puts the guest's files beside the page where there are any, and a list of them in any case. They are other
 * people's work under licences of their own, so they are neither committed nor packed.
 */
function guestFiles(): Plugin {
  return {
    name: 'guest-files',
    generateBundle() {
      const emit = (name: string, ...paths: string[]): boolean => {
        const path = paths.find((one) => existsSync(one))
        if (path === undefined) return false
        this.emitFile({ type: 'asset', fileName: `guest/${name}`, source: readFileSync(path) })
        return true
      }
      const bios = emit('bios.bin', `${SEABIOS}/bios.bin`, `${GUEST}/bios.bin`)
      const video = emit('vgabios.bin', `${SEABIOS}/vgabios-stdvga.bin`, `${GUEST}/vgabios.bin`)
      const seabios = bios && video
      const index: Record<string, unknown> = { seabios }
      if (seabios && existsSync(`${GUEST}/guest.json`) && emit('bzImage', `${GUEST}/bzImage`)) {
        const { memoryBytes, commandLines } = JSON.parse(readFileSync(`${GUEST}/guest.json`, 'utf8')) as {
          memoryBytes: number
          commandLines: { demo: string }
        }
        index['linux'] = { memoryBytes, commandLine: commandLines.demo }
      }
      this.emitFile({ type: 'asset', fileName: 'guest/index.json', source: JSON.stringify(index) })
    },
  }
}

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // Wherever it is put.
  base: './',
  plugins: [guestFiles()],
  worker: { format: 'es' },
  build: { outDir: 'dist/web', emptyOutDir: true, target: 'es2022', modulePreload: { polyfill: false } },
})
