/** A hand-over between two tabs that is cut at its last moment: neither tab may take the machine for its own. */

import type { Worker } from 'playwright-core'
import { describe, expect, it } from 'vitest'
import { hasChromium } from '../support/chromium.ts'
import { demoBrowser, type DemoPage } from './demo-browser.ts'

const FULL_SPEED = ''
const PATIENT = { timeout: 60_000 }
/** The message that begins the time in which nobody can tell, and the one that ends it. */
const COMMIT = 10
const RUNNING = 11

type CutScope = typeof globalThis & { isCut?: boolean }

describe.runIf(hasChromium)('a hand-over to another tab that is cut', () => {
  const browser = demoBrowser()

  it.concurrent.each([
    ['before the other tab hears of COMMIT', 'source', COMMIT, 'STOP'],
    ['before its RUNNING arrives', 'destination', RUNNING, 'RUNNING'],
  ] as const)(
    '%s is undecided until the other tab is asked, and runs there then',
    async (_, end, type, state) => {
      const { demo, other } = await twoTabs()
      await cutAt(end === 'source' ? demo : other, end === 'source' ? 0 : 1, type)
      const ticks = await undecided(demo)
      // What really happened, of which this tab knows nothing.
      await expect.poll(() => other.page.locator('#right').getAttribute('data-state'), PATIENT).toBe(state)
      expect((await demo.side('left')).ticks).toBe(ticks)

      expect(await demo.act('ask-again')).toMatch(/^Settled: the other side runs it/)
      expect(await demo.side('left')).toMatchObject({ occupancy: 'gone', ticks })
      expect(await demo.page.isVisible('#undecided')).toBe(false)
      expect(await other.outcome()).toMatch(/^Arrived from another tab/)
      expect(await other.shown('started')).toEqual(await demo.shown('stopped'))
      await other.drawn('right', 20)
      expect(await other.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
      await demo.page.context().close()
    },
  )

  it.concurrent.each([
    ['pc', 'verdict-run', /^Settled: it runs here, where it was/, 'running'],
    ['framebuffer', 'verdict-discard', /^Settled: it was given up here/, 'gone'],
  ] as const)(
    'by the end of that tab stays undecided until a person knows better: a %s, %s',
    async (kind, button, words, occupancy) => {
      const { demo, other } = await twoTabs(kind)
      const worker = await cutAt(other, 1, RUNNING, { closes: false })
      await demo.page.click('#to-tab')
      await expect.poll(() => worker.evaluate(() => (globalThis as CutScope).isCut), PATIENT).toBe(true)
      await other.page.close()
      const ticks = await undecided(demo)

      expect(await demo.act('ask-again')).toMatch(/the other tab does not answer/)
      expect(await demo.side('left')).toMatchObject({ occupancy: 'undecided', ticks })
      expect(await demo.act(button)).toMatch(words)
      expect(await demo.page.isVisible('#undecided')).toBe(false)
      if (occupancy === 'running') await demo.drawn('left', 20)
      expect(await demo.side('left')).toMatchObject({ occupancy, gaps: 0 })
      if (occupancy === 'gone') expect((await demo.side('left')).ticks).toBe(ticks)
      await demo.page.context().close()
    },
  )

  it('complained of nothing', () => {
    expect(browser.complaints).toEqual([])
  })

  /** A tab in which a machine runs, and one with room for it. */
  async function twoTabs(kind = 'framebuffer'): Promise<{ demo: DemoPage; other: DemoPage }> {
    const demo = await browser.open({ empty: true })
    await demo.start(kind)
    const other = await browser.open({ beside: demo.page, empty: true })
    await demo.page.locator('#to-tab', { hasText: 'To the other tab' }).waitFor()
    await demo.pace(FULL_SPEED, '300')
    return { demo, other }
  }
})

/** Sends the machine away, unless it is on its way; what the tab says then. @returns the tick at which it stands */
async function undecided(demo: DemoPage): Promise<number> {
  if (await demo.page.isEnabled('#to-tab')) await demo.page.click('#to-tab')
  expect(await demo.outcome()).toMatch(/nobody here can tell who runs it/)
  expect(await demo.page.textContent('#undecided')).toContain('that the other side will not run it')
  const { ticks, occupancy } = await demo.side('left')
  expect(occupancy).toBe('undecided')
  expect(ticks).toBe((await demo.shown('stopped')).ticks)
  return ticks
}

/**
 * The messages of a hand-over of that type do not leave a machine's Worker.
 *
 * @param closes - the first one takes the connection with it, and those of later connections get through
 */
async function cutAt(
  { page }: DemoPage,
  side: 0 | 1,
  type: number,
  { closes = true }: { closes?: boolean } = {},
): Promise<Worker> {
  const worker = page.workers().filter((one) => one.url().includes('machine-worker'))[side]
  if (worker === undefined) throw new Error('the page has no such Worker')
  await worker.evaluate(
    ({ unsent, isClosing }) => {
      const ports = MessagePort.prototype
      const send = Reflect.get(ports, 'postMessage') as (...args: unknown[]) => void
      const isUnsent = (message: unknown): boolean => {
        // "SCML", the version, the type: the beginning of a frame.
        if (!(message instanceof Uint8Array) || message.length < 8) return false
        const view = new DataView(message.buffer, message.byteOffset, message.length)
        return view.getUint32(0) === 0x53434d4c && view.getUint16(6, true) === unsent
      }
      Object.assign(ports, {
        postMessage(this: MessagePort, ...args: unknown[]): void {
          if (!isUnsent(args[0])) return Reflect.apply(send, this, args)
          Object.assign(globalThis, { isCut: true })
          if (!isClosing) return
          Object.assign(ports, { postMessage: send })
          this.close()
          // The other end is told by the browser, this one by nobody.
          this.dispatchEvent(new Event('close'))
        },
      })
    },
    { unsent: type, isClosing: closes },
  )
  return worker
}
