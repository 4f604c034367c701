/** Node, Deno and Bun: started with the suite and with the README's example, in the folder of the package. */

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { checkExample, exampleOf } from './readme-examples.mjs'
import { BUN_ENVIRONMENT, V8_FLAGS } from './without.mjs'

const TIMEOUT_MS = 60_000
const execute = promisify(execFile)

/** The three, given the folder in which npm puts the commands of packages. */
export function commandLineRuntimes(bin) {
  return [
    {
      name: 'node',
      commands: [process.execPath],
      features: ['', ...Object.keys(V8_FLAGS)],
      start: (missing) => ({ words: missing === '' ? [] : [V8_FLAGS[missing]] }),
    },
    {
      name: 'deno',
      commands: [join(bin, 'deno'), 'deno'],
      features: ['', ...Object.keys(V8_FLAGS)],
      // No permission at all; it would be asked for on a terminal.
      start: (missing) => ({
        words: ['run', '--no-prompt', ...(missing === '' ? [] : [`--v8-flags=${V8_FLAGS[missing]}`])],
      }),
    },
    {
      name: 'bun',
      commands: [join(bin, 'bun'), 'bun'],
      features: ['', ...Object.keys(BUN_ENVIRONMENT)],
      start: (missing) => ({ words: [], env: BUN_ENVIRONMENT[missing] }),
    },
  ].map((runtime) => ({ ...runtime, find: () => findCommand(runtime), run: runInFolder(runtime) }))
}

/** The first command that starts, or why none does. */
async function findCommand({ name, commands }) {
  for (const command of commands) {
    const found = await execute(command, ['--version']).catch(() => undefined)
    if (found !== undefined) return { command }
  }
  return { lacking: `no ${name} here, \`npm ci\` installs it` }
}

function runInFolder({ name, features, start }) {
  return async ({ command }, folder) => {
    const results = []
    for (const missing of features) {
      const { words, env = {} } = start(missing)
      const line = [...words, 'command-line.mjs', missing].filter((word) => word !== '')
      results.push({
        missing,
        how: missing === '' ? 'as it is' : undefined,
        ...(await outcomeOf(command, line, env, folder)),
      })
    }
    results.push(await runExample(name, command, folder))
    return results
  }
}

/** The outcome that the suite's last line tells, or the failure of the whole. */
async function outcomeOf(command, words, env, cwd) {
  try {
    const { stdout } = await execute(command, words, {
      cwd,
      env: { ...process.env, ...env },
      timeout: TIMEOUT_MS,
    })
    return JSON.parse(stdout.trimEnd().split('\n').at(-1))
  } catch (error) {
    return {
      passed: 0,
      ms: 0,
      failures: [`${[command, ...words].join(' ')}: ${error.stderr || error.message}`],
    }
  }
}

/** Pasted into the file that its first line names, and started as that line says. */
async function runExample(name, command, cwd) {
  const { code, words } = exampleOf(name)
  writeFileSync(join(cwd, words.at(-1)), code)
  const { stdout, stderr } = await execute(command, words, { cwd, timeout: TIMEOUT_MS }).catch(
    (error) => error,
  )
  return checkExample(stdout, stderr)
}
