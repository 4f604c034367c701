/**
 * The demo's Node process, with its devices but without the packages, which it imports.
 *
 * @module
 */

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  build: {
    ssr: 'main.ts',
    outDir: '../dist/node',
    emptyOutDir: true,
    target: 'node20',
    rollupOptions: { external: [/^(?:stopcopy|v86)(?:\/|$)/] },
  },
})
