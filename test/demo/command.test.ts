/** The command at the other end of the page: `stopcopy receive` with the demo's own device module. */

import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { lineOf, startReceive } from '../e2e/live-command.ts'
import { hasChromium } from '../support/chromium.ts'
import { demoBrowser } from './demo-browser.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Where the machine is, as the module tells it: `tick 1234`. */
function tickOf(line: Record<string, unknown>): number {
  return Number(/^tick (\d+)$/.exec(String(line['at']))?.[1])
}

function hostOf(url: string): string {
  return new URL(url.replace('ws:', 'http://')).host
}

describe.runIf(hasChromium)('the page and `stopcopy receive`', { timeout: 90_000 }, () => {
  const browser = demoBrowser()
  const folder = mkdtempSync(`${ROOT}build/demo-node-`)
  const module = join(folder, 'machine.js')
  beforeAll(async () => {
    const configFile = `${ROOT}demo/node/vite.config.ts`
    await build({ configFile, logLevel: 'error', build: { outDir: folder } })
  }, 60_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each([
    ['framebuffer', 'framebuffer'],
    ['pc', 'v86'],
  ])('a %s goes from the page to the command and runs on there', async (kind, type) => {
    const { origin } = new URL(browser.url)
    const words = [module, '--allow-origin', origin, '--run-for', '2s']
    const receiver = await startReceive('ws:127.0.0.1:0/take', ...words, '--json')
    const demo = await browser.open({ empty: true })
    await demo.start(kind)
    await demo.pace('', '300')
    await demo.page.fill('#node', hostOf(receiver.url))
    expect(await demo.act('to-node')).toMatch(/^Moved: /)
    const { ticks } = await demo.shown('stopped')
    expect(await demo.side('left')).toMatchObject({ occupancy: 'gone', gaps: 0 })
    const { code, stdout, stderr } = await receiver.finished
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [report, closed] = [lineOf(stdout, 'report'), lineOf(stdout, 'closed')]
    expect(report).toMatchObject({ device: { type, module }, report: { owner: 'destination' } })
    expect(lineOf(stdout, 'offer')).toMatchObject({ device: { type, module } })
    // It goes on where it had stopped: no tick is lost, and more are made.
    expect(tickOf(report)).toBeGreaterThanOrEqual(ticks)
    expect(tickOf(closed)).toBeGreaterThan(tickOf(report))
    await demo.page.context().close()
  })

  it('a page that the command was not told of is refused by name, and its machine runs on', async () => {
    const { origin } = new URL(browser.url)
    const receiver = await startReceive('ws:127.0.0.1:0/take', module)
    const demo = await browser.open()
    await demo.page.fill('#node', hostOf(receiver.url))
    expect(await demo.act('to-node')).toMatch(/^EPIPE: .*; framebuffer is in RUNNING again$/)
    await receiver.says(/^stopcopy: Cannot serve [^\n]+\n/)
    expect(receiver.text().stderr).toContain(
      `pages of "${origin}" are not allowed, name it with --allow-origin (EPERM)\n`,
    )
    await demo.drawn('left')
    expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
    await demo.page.context().close()
  })
})
