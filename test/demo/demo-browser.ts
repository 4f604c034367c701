/**
 * The built page in a browser: built once for a test file, served as by any static host.
 *
 * @module
 */

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll } from 'vitest'
import { serveFolder, type ServedFolder } from '../../demo/node/serve-folder.ts'
import { launchChromium } from '../support/chromium.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The Linux guest, which `demo/guest/build.sh` builds. */
export const hasGuest: boolean = existsSync(`${ROOT}demo/guest/out/guest.json`)
if (!hasGuest) console.warn('Linux on the page is not tested: there is no guest, run demo/guest/build.sh')

/** Its kernel. */
export const guestKernel: string = `${ROOT}demo/guest/out/bzImage`

/** What CDs and kernels need to boot. */
export const hasSeabios: boolean = existsSync('/usr/share/seabios/bios.bin')
if (!hasSeabios)
  console.warn('CDs and kernels on the page are not tested: there is no SeaBIOS, install seabios')

/** The page's folder and address, and a browser; there from `beforeAll` on. */
export interface DemoBrowser {
  readonly folder: string
  readonly url: string
  /** What went wrong on any page, and what was asked of other hosts. */
  readonly complaints: string[]
  /** A page in a context of its own, or in that of another page. */
  open(options?: { beside?: Page; empty?: boolean; width?: number }): Promise<DemoPage>
}

/** Builds, serves and opens for the tests of one file. */
export function demoBrowser(): DemoBrowser {
  const folder = mkdtempSync(`${ROOT}build/demo-`)
  const complaints: string[] = []
  let served: ServedFolder
  let browser: Browser
  beforeAll(async () => {
    const configFile = `${ROOT}demo/vite.config.ts`
    await build({ configFile, logLevel: 'error', build: { outDir: folder } })
    served = await serveFolder(folder, 0)
    browser = await launchChromium()
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    await served?.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const watch = (context: BrowserContext): void => {
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    context.on('weberror', (error) => complaints.push(error.error().message))
    context.on('request', (request) => {
      const { protocol, origin } = new URL(request.url())
      if (protocol.startsWith('http') && `${origin}/` !== served.url) complaints.push(request.url())
    })
  }
  return {
    folder,
    complaints,
    get url() {
      return served.url
    },
    async open({ beside, empty = false, width = 1000 } = {}) {
      let context = beside?.context()
      if (context === undefined) {
        context = await browser.newContext({ viewport: { width, height: 640 }, acceptDownloads: true })
        watch(context)
      }
      const page = await context.newPage()
      await page.goto(`${served.url}${empty ? '?empty' : ''}`)
      const demo = new DemoPage(page)
      if (!empty) await demo.drawn('left')
      return demo
    },
  }
}

/** One machine at one end of a hand-over, as the page shows it. */
export interface Shown {
  readonly ticks: number
  readonly digest: string
  /** A data URL. */
  readonly picture: string
}

/** The page, as a person and the tests see it. */
export class DemoPage {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  /** What a side's element says of its machine. */
  async side(name: 'left' | 'right'): Promise<{ occupancy: string; ticks: number; gaps: number }> {
    const data = await this.page
      .locator(`#${name}`)
      .evaluate((side) => Object.fromEntries(Object.entries((side as HTMLElement).dataset)))
    return { occupancy: data['occupancy'] ?? '', ticks: Number(data['ticks']), gaps: Number(data['gaps']) }
  }

  /** The side's machine has drawn `count` more pictures, after each other. */
  async drawn(name: 'left' | 'right', count = 5): Promise<number> {
    await this.page.waitForSelector(`#${name}[data-ticks]`)
    const { ticks } = await this.side(name)
    await this.page.waitForFunction(
      ([side, most]) => Number(document.getElementById(side)?.dataset['ticks']) >= most,
      [name, ticks + count] as const,
    )
    return ticks + count
  }

  /** Presses a button and waits for what is said at the end of it. */
  async act(button: string): Promise<string> {
    await this.page.click(`#${button}`)
    return this.outcome()
  }

  /** What is said at the end of what is under way. */
  async outcome(): Promise<string> {
    const message = this.page.locator('#message:not([data-kind="under-way"])')
    await message.waitFor()
    return (await message.textContent()) ?? ''
  }

  /** Switches a machine of that kind on, at the left of an empty page; resolves when it has done some ticks. */
  async start(kind: string, ticks = 20): Promise<void> {
    await this.page.selectOption('#left select', kind)
    await this.page.click('#left .power')
    await this.drawn('left', ticks)
  }

  /** The save that was made last, as a file at `path`. */
  async download(path: string): Promise<void> {
    const downloading = this.page.waitForEvent('download')
    await this.page.locator('#saves button[aria-label^="Download"]').first().click()
    await (await downloading).saveAs(path)
  }

  async pace(bandwidth: string, downtimeMs = '100'): Promise<void> {
    await this.page.selectOption('#bandwidth', bandwidth)
    await this.page.selectOption('#downtime', downtimeMs)
  }

  /** One end of the last hand-over. */
  async shown(end: 'stopped' | 'started'): Promise<Shown> {
    return this.page.locator(`#proof figure.${end}`).evaluate((figure) => ({
      ticks: Number(figure.dataset['ticks']),
      digest: figure.dataset['digest'] ?? '',
      picture: figure.querySelector('canvas')?.toDataURL() ?? '',
    }))
  }

  /** A screenshot of one end of the last hand-over, at a place of the window where scaling rounds alike. */
  async screenshot(end: 'stopped' | 'started'): Promise<Buffer> {
    const style = await this.page.addStyleTag({
      content: `#proof .${end} canvas { position: fixed; inset: 0; width: 640px; border-radius: 0; z-index: 9 }`,
    })
    const shot = await this.page.screenshot({ clip: { x: 0, y: 0, width: 640, height: 360 } })
    await style.evaluate((element) => (element as HTMLElement).remove())
    return shot
  }

  /** What the screen of a side shows; a data URL. */
  async screen(name: 'left' | 'right'): Promise<string> {
    return this.page.locator(`#${name} .screen canvas`).evaluate((screen) => {
      const { width, height } = screen as HTMLCanvasElement
      const copy = Object.assign(document.createElement('canvas'), { width, height })
      copy.getContext('2d')?.drawImage(screen as HTMLCanvasElement, 0, 0)
      return copy.toDataURL()
    })
  }
}
