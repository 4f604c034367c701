/**
 * The demo's Node process and its device module, with the devices but without the packages, which they import.
 *
 * @module
 */

import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const inHere = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export default defineConfig({
  root: inHere('.'),
  build: {
    ssr: true,
    outDir: '../dist/node',
    emptyOutDir: true,
    target: 'node20',
    rollupOptions: { input: ['main.ts', 'machine.ts'].map(inHere), external: [/^(?:stopcopy|v86)(?:\/|$)/] },
  },
})
