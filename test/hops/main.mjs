/**
 * `npm run test:hops`: packs the package, installs it into an empty folder, and walks a guest, and a file, through all
 * that it runs in. What this machine lacks is left out by name, but not in CI.
 */

import { rmSync } from 'node:fs'
import { installedFolder } from '../runtime/installed-folder.mjs'
import { lacking } from '../runtime/lines.mjs'
import { runtimes } from '../runtime/runtimes.mjs'
import { walkMemory } from './command-walk.mjs'
import { walkGuest } from './walk.mjs'

const folder = installedFolder()
try {
  const commands = new Map()
  for (const { name, find } of runtimes) {
    const found = await find()
    if (found.lacking === undefined) commands.set(name, found.command)
    else lacking(name, found.lacking)
  }
  await walkGuest(folder, commands)
  await walkMemory(folder, commands)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
