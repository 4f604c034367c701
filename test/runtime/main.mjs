/**
 * `npm run test:runtimes`: packs the package, installs it into an empty folder, and runs the same suite there in Node,
 * Deno, Bun and Chromium; a line for each. Then a running guest, and a file by the command, go through them, a line
 * for each hop. What a machine lacks is skipped by name, but not in CI.
 */

import { copyFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { walkMemory } from '../hops/command-walk.mjs'
import { walkGuest } from '../hops/walk.mjs'
import { installedFolder } from './installed-folder.mjs'
import { color, lacking } from './lines.mjs'
import { runtimes } from './runtimes.mjs'
import { FEATURE_NAMES } from './without.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))

/** What a result is about, for people. */
function subject({ missing, how, example }) {
  if (example) return "the README's example"
  return how ?? `without ${FEATURE_NAMES[missing]}`
}

function report(name, results, seconds) {
  const failures = results.flatMap((result) =>
    result.failures.map((line) => `    ${subject(result)}: ${line}`),
  )
  const whole = results.find(({ missing }) => missing === '')
  const others = results.filter((result) => result !== whole)
  const line = [
    name.padEnd(9),
    (whole.version ?? '').padEnd(14),
    `${whole.passed} cases passed`,
    `${seconds.toFixed(1)} s`.padStart(7),
    ` (${others.map((result) => [subject(result), result.passed].join(' ').trim()).join(', ')})`,
  ].join(' ')
  console.log(failures.length === 0 ? color('green', `✔ ${line}`) : color('red', `✘ ${line}`))
  for (const failure of failures) console.log(failure)
  return failures.length === 0
}

const folder = installedFolder()
try {
  // The suite beside the package.
  for (const file of readdirSync(here)) copyFileSync(join(here, file), join(folder, file))
  const commands = new Map()
  for (const { name, find, run } of runtimes) {
    const found = await find()
    if (found.lacking !== undefined) {
      lacking(name, found.lacking)
      continue
    }
    commands.set(name, found.command)
    const started = performance.now()
    const results = await run(found, folder)
    if (!report(name, results, (performance.now() - started) / 1000)) process.exitCode = 1
  }
  await walkGuest(folder, commands)
  await walkMemory(folder, commands)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
