/** Lines for people. */

import { styleText } from 'node:util'

/** In colour where somebody looks. */
export const color = (name, text) => (process.stdout.isTTY ? styleText(name, text) : text)

/** What this machine lacks is skipped by name; in CI nothing may be lacking. */
export function lacking(name, reason) {
  if (process.env.CI) process.exitCode = 1
  const mark = process.env.CI ? color('red', '✘ lacking in CI') : color('yellow', '- skipped')
  console.log(`${mark}: ${name}: ${reason}`)
}
