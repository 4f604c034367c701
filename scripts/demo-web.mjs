/** Builds the demo's page and its Node process, and starts them unless `--build` is all that is asked for. */
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const root = fileURLToPath(new URL('..', import.meta.url))
// v86 asks for modules of Node where it is in Node, of which vite warns.
const logLevel = 'error'
await build({ configFile: `${root}demo/vite.config.ts`, logLevel })
await build({ configFile: `${root}demo/node/vite.config.ts`, logLevel })
if (!process.argv.includes('--build')) await import('../demo/dist/node/main.js')
