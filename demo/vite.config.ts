/**
 * The page, for any static host; `npm run demo:web` builds and serves it.
 *
 * @module
 */

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // Wherever it is put.
  base: './',
  worker: { format: 'es' },
  build: { outDir: 'dist/web', emptyOutDir: true, target: 'es2022', modulePreload: { polyfill: false } },
})
