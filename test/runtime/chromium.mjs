/**
 * Chromium: the package as plain modules from a static host, built by vite, and from vite's dev server; with
 * and without what a browser may lack; and the README's page.
 */

import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { build, createServer } from 'vite'
import { importMap } from './installed-folder.mjs'
import { checkExample, examplePage } from './readme-examples.mjs'
import { ISOLATED, serveStatic } from './static-server.mjs'
import { V8_FLAGS } from './without.mjs'

const TIMEOUT_MS = 60_000
/** What lets it run as root, and keeps it from looking for hosts elsewhere. */
export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const execute = promisify(execFile)

export const chromiumRuntime = { name: 'chromium', find, run }

async function find() {
  for (const command of ['chromium', 'chromium-browser', 'google-chrome']) {
    const found = await execute('which', [command]).catch(() => undefined)
    if (found !== undefined) return { command: found.stdout.trim() }
  }
  return { lacking: 'no chromium here, `apt-get install chromium` brings it' }
}

async function run({ command }, folder) {
  writePages(folder)
  const host = await serveStatic(folder)
  const bundled = await buildPage(folder)
  const dev = await createServer({
    ...viteOptions(folder),
    server: { port: 0, host: '127.0.0.1', headers: ISOLATED },
  })
  await dev.listen()
  const results = []
  /** Visits pages in one browser, one after the other. */
  const visit = async (flags, pages) => {
    const browser = await chromium.launch({ executablePath: command, args: [...FLAGS, ...flags] })
    try {
      for (const { take = takeOutcome, ...page } of pages)
        results.push({ version: browser.version(), ...page, ...(await visitPage(browser, page.url, take)) })
    } finally {
      await browser.close()
    }
  }
  try {
    await visit(
      [],
      [
        { how: 'plain modules', missing: '', url: `${host.url}/isolated/page.html` },
        { how: 'built by vite', url: `${host.url}/isolated/${bundled}/index.html` },
        { how: 'dev server of vite', url: dev.resolvedUrls.local[0] },
        { missing: 'shared', url: `${host.url}/plain/page.html?without=shared` },
        { how: 'WebAssembly forbidden', url: `${host.url}/forbidden/${bundled}/index.html?check=forbidden` },
        { example: true, url: `${host.url}/plain/example.html`, take: takeExample },
      ],
    )
    for (const missing of ['simd', 'wasm'].filter((feature) => feature in V8_FLAGS))
      await visit(
        [`--js-flags=${V8_FLAGS[missing]}`],
        [{ missing, url: `${host.url}/isolated/page.html?without=${missing}` }],
      )
  } finally {
    await dev.close()
    host.close()
  }
  return results
}

/** `page.html` names the package's modules by an import map, `index.html` leaves that to vite. */
function writePages(folder) {
  const page = readFileSync(join(folder, 'page.html'), 'utf8')
  writeFileSync(join(folder, 'index.html'), page)
  writeFileSync(join(folder, 'page.html'), page.replace('<!-- import map -->', importMap(folder)))
  writeFileSync(join(folder, 'example.html'), examplePage())
}

function viteOptions(root) {
  return {
    root,
    base: './',
    configFile: false,
    logLevel: 'warn',
    cacheDir: join(root, '.vite'),
    worker: { format: 'es' },
  }
}

/** @returns the folder of the built page, in `folder` */
async function buildPage(folder) {
  await build({ ...viteOptions(folder), build: { outDir: 'bundled' } })
  return 'bundled'
}

/** What the page came to; an error on its console or a request to another host is a failure, too. */
async function visitPage(browser, url, take) {
  const page = await browser.newPage()
  const complaints = []
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${message.text()} (${message.location().url})`)
  })
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(url).host) complaints.push(`it asked for ${request.url()}`)
  })
  try {
    await page.goto(url)
    const outcome = await take(page)
    return { ...outcome, failures: [...outcome.failures, ...complaints] }
  } catch (error) {
    return { passed: 0, ms: 0, failures: [`${url}: ${error.message}`, ...complaints] }
  } finally {
    await page.close()
  }
}

async function takeOutcome(page) {
  await page.waitForFunction(() => globalThis.outcome !== undefined, undefined, { timeout: TIMEOUT_MS })
  return page.evaluate(() => globalThis.outcome)
}

async function takeExample(page) {
  const output = page.locator('output', { hasText: /./ })
  return checkExample(await output.textContent({ timeout: TIMEOUT_MS }))
}
