/**
 * A file as a device's memory goes Node -> Deno -> Bun -> Node by the installed command alone: `stopcopy send` in one
 * process, `stopcopy receive` in the next, a line for each hop. What came out at the end is what went in.
 */

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { color } from '../runtime/lines.mjs'

/** As the README says it for Deno and Bun; Deno with no more permissions than it takes. */
const WORDS = {
  node: ['node_modules/stopcopy/dist/cli/main.js'],
  deno: 'run --no-prompt --allow-net=127.0.0.1 --allow-read --allow-write --allow-env npm:stopcopy'.split(
    ' ',
  ),
  bun: ['x', '--bun', 'stopcopy'],
}
const HOPS = [
  { from: 'node', to: 'deno', transport: 'tcp' },
  { from: 'deno', to: 'bun', transport: 'ws' },
  { from: 'bun', to: 'node', transport: 'tcp' },
]
/** A receiver that takes its source for one that was cut off would wait for 10 s. */
const TIMEOUT_MS = 9_000
/** No whole number of pages. */
const MEMORY_BYTES = 8_000_001

/** Walks the runtimes that `commands` has, in a folder with the package in it; says how it went. */
export async function walkMemory(installed, commands) {
  const image = randomBytes(MEMORY_BYTES)
  const file = (index) => join(installed, `${index}.img`)
  writeFileSync(file(0), image)
  const hops = HOPS.filter(({ from, to }) => commands.has(from) && commands.has(to))
  for (const [index, { from, to, transport }] of hops.entries()) {
    const title = `stopcopy send in ${from} -> stopcopy receive in ${to}`.padEnd(50)
    const command = (name, ...words) => new Command(commands.get(name), [...WORDS[name], ...words], installed)
    const started = performance.now()
    try {
      const listen = `${transport}:127.0.0.1:0`
      const receiver = command(to, 'receive', 'bulk', '--json', '-l', listen, '--memory-out', file(index + 1))
      const url = await receiver.listening
      const sender = command(from, 'send', 'bulk', '--json', '-m', file(index), '--to', url)
      await Promise.all([sender.done, receiver.done])
      if (!image.equals(readFileSync(file(index + 1)))) throw new Error('other memory came out')
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      console.log(
        color('green', `✔ ${title}  ${transport.padEnd(3)}  ${image.length} bytes equal  ${seconds} s`),
      )
    } catch (error) {
      process.exitCode = 1
      console.log(color('red', `✘ ${title}: ${error.message}`))
      return
    }
  }
}

/** One process. */
class Command {
  /** Where it listens, once it does. */
  listening
  /** Resolves when it ended well. */
  done

  constructor(command, words, cwd) {
    const child = spawn(command, words, { cwd, stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS })
    let complaint = ''
    child.stderr.on('data', (text) => (complaint += text))
    this.done = once(child, 'close').then(([code, signal]) => {
      if (code === 0) return undefined
      throw new Error(`${words.join(' ')} ended with ${code ?? signal}: ${complaint}`)
    })
    const line = once(createInterface({ input: child.stdout }), 'line').then(([text]) => JSON.parse(text).url)
    this.listening = Promise.race([line, this.done])
    // Whoever waits is told; whoever does not, need not be.
    for (const promise of [this.done, this.listening]) promise.catch(() => {})
  }
}
