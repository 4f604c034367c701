/** The four. */

import { fileURLToPath } from 'node:url'
import { chromiumRuntime } from './chromium.mjs'
import { commandLineRuntimes } from './command-line-runtimes.mjs'

const bin = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url))

export const runtimes = [...commandLineRuntimes(bin), chromiumRuntime]
