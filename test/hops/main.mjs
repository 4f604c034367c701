/** `npm run test:hops`: packs the package, installs it into an empty folder, and walks a guest through what it runs in. */

import { rmSync } from 'node:fs'
import { installedFolder } from '../runtime/installed-folder.mjs'
import { walkGuest } from './walk.mjs'

const folder = installedFolder()
try {
  await walkGuest(folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
