/** Stations from outside: a process of Node, Deno or Bun, or a page; each is called by the names of its methods. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { FLAGS } from '../runtime/chromium.mjs'
import { serveStatic } from '../runtime/static-server.mjs'

/** Longest that anything here takes, in milliseconds; a station that is silent for so long failed. */
const PATIENCE_MS = 20_000
/** Words before the file: Deno is allowed what it needs and no more. `ws` reads two variables when it is loaded. */
const WORDS = {
  node: [],
  deno: ['run', '--no-prompt', '--allow-net=127.0.0.1', '--allow-read=.', '--allow-env'],
  bun: [],
}

/** Starts the command of a runtime; resolves when its PC is there. */
export async function startProcess(name, command, folder) {
  const child = spawn(command, [...WORDS[name], 'command-line.js', 'v86.wasm'], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let complaint = ''
  child.stderr.on('data', (text) => (complaint += text))
  const waiting = new Map()
  const answered = (id) =>
    patiently(name, new Promise((resolve, reject) => waiting.set(id, { resolve, reject })))
  const fail = (reason) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} ${reason}: ${complaint}`))
  }
  child.on('error', (error) => fail(error.message))
  child.on('exit', (code, signal) => fail(`ended with ${code ?? signal}`))
  child.stdin.on('error', () => {})
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { id, result, failure } = JSON.parse(line)
    if (failure === undefined) waiting.get(id)?.resolve(result)
    else waiting.get(id)?.reject(new Error(`${name}: ${failure}`))
    waiting.delete(id)
  })
  let calls = 0
  const station = {
    name,
    call(method, ...words) {
      const id = ++calls
      child.stdin.write(`${JSON.stringify({ id, method, words })}\n`)
      return answered(id)
    },
    complaint: () => complaint,
    /** It ends with its input; one that does not is killed. */
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.stdin.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), 2000)
      await exit
      clearTimeout(timer)
    },
  }
  try {
    await answered(0)
    return station
  } catch (error) {
    await station.end()
    throw error
  }
}

/** Opens the page in a browser; resolves when its PC is there. Its package is in the folder around `folder`. */
export async function startPage(command, folder) {
  const host = await serveStatic(join(folder, '..'))
  const browser = await chromium.launch({ executablePath: command, args: FLAGS })
  const complaints = []
  const end = async () => {
    await browser.close()
    host.close()
  }
  try {
    const page = await browser.newPage()
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.goto(`${host.url}/plain/${basename(folder)}/page.html`)
    const call = (method, ...words) =>
      patiently(
        'chromium',
        page.evaluate(async ([name, given]) => (await globalThis.opening)[name](...given), [method, words]),
      )
    await call('isStopped')
    return { name: 'chromium', call, end, complaint: () => complaints.join('\n'), origin: host.url }
  } catch (error) {
    await end()
    throw new Error([error.message, ...complaints].join('\n'), { cause: error })
  }
}

/** The version that a command tells of itself. */
export function versionIn(text) {
  return /\d+\.\d+\.\d+(?:\.\d+)?/.exec(text)?.[0]
}

async function patiently(name, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${name} said nothing for ${PATIENCE_MS} ms`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
