/**
 * A station in a runtime that is started from the command line: `node command-line.js V86_WASM`. A line of JSON on its
 * standard input calls a method, a line on its output is the answer; it ends with its input.
 */

import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { connect, listen } from 'stopcopy/node'
import { openStation } from './station.mjs'

const { process, Deno, Bun } = globalThis
const [wasmFile] = process.argv.slice(2)

/** By what only that runtime has. */
function identify() {
  const { pid } = process
  if (Deno !== undefined) return { name: 'deno', version: Deno.version.deno, pid }
  if (Bun !== undefined) return { name: 'bun', version: Bun.version, pid }
  return { name: 'node', version: process.versions.node, pid }
}

/** Listens for one connection. */
async function listenOnce(transport, origins) {
  let arrive
  const connection = new Promise((resolve) => {
    arrive = resolve
  })
  const listener = await listen(`${transport}:127.0.0.1:0`, (stream) => arrive(stream), { origins })
  return { url: listener.url, connection: connection.finally(() => listener.close()) }
}

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)
const wasm = new Uint8Array(await readFile(wasmFile))
const station = await openStation({ wasm, identify, connect, listen: listenOnce })
createInterface({ input: process.stdin })
  .on('line', async (line) => {
    const { id, method, words } = JSON.parse(line)
    try {
      say({ id, result: await station[method](...words) })
    } catch (error) {
      say({ id, failure: String(error?.stack ?? error) })
    }
  })
  .on('close', () => process.exit())
say({ id: 0 })
