/** The ends of one page, Worker or process, by name, and what can be asked of the place itself. */

import { watchAnew, watched } from './message-watch.mjs'
import { MigrationEnd } from './migration-end.mjs'

/** @returns `call(name, command, words)`, all plain data */
export function hostEnds(links) {
  const ends = new Map()
  return async (name, command, words) => {
    if (command === 'watchAnew') return watchAnew(words)
    if (command === 'watched') return watched()
    if (command === 'open') ends.set(name, new MigrationEnd(links))
    return ends.get(name)[command](words)
  }
}
