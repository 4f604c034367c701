/** The page moves its machines: left to right and from tab to tab, and not at all when a bit is wrong. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { plasmaBootSector } from '../../demo/devices/v86/guest/boot-sector.ts'
import { hasChromium } from '../support/chromium.ts'
import { bootCd, bootKernel } from './boot-images.ts'
import { demoBrowser, type DemoPage, guestKernel, hasGuest, hasSeabios } from './demo-browser.ts'
import { type Gap, ScreenWatch } from './screen-watch.ts'

const FULL_SPEED = ''
/** How far the clocks of two Workers and the figures on the page are rounded. */
const ROUNDING_MS = 0.6

/** How long v86 works before it lets anybody look: 8 ms of its own, and the tick that they end in. */
const TURN_MS = 10

/** Linux takes seconds to boot, more where others work. */
const GUEST_TIMEOUT_MS = 90_000

describe.runIf(hasChromium)('the page', () => {
  const browser = demoBrowser()

  it('weighs less than 500 KB on the wire', () => {
    const files = readdirSync(browser.folder, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      // What only the PC needs is fetched when somebody switches one on.
      .filter(({ name, parentPath }) => !name.startsWith('v86') && !parentPath.endsWith('/guest'))
    const bytes = files.map(({ parentPath, name }) => gzipSync(readFileSync(join(parentPath, name))).length)
    expect(bytes.length).toBeGreaterThan(3)
    expect(bytes.reduce((total, one) => total + one, 0)).toBeLessThan(500_000)
  })

  it('shows its first picture within two seconds', async () => {
    const demo = await browser.open()
    let least = Number.POSITIVE_INFINITY
    // Whatever else the machine does in one of three.
    for (let i = 0; i < 3; i++) {
      await demo.page.reload()
      await demo.page.waitForFunction(() => performance.getEntriesByName('first-picture').length > 0)
      const [mark] = await demo.page.evaluate(() =>
        performance.getEntriesByName('first-picture').map((e) => e.startTime),
      )
      least = Math.min(least, mark as number)
    }
    expect(least).toBeLessThan(2000)
    await demo.page.close()
  })

  it('moves a machine to the other side without losing, repeating or changing anything', async () => {
    const demo = await browser.open()
    await demo.page.hover('#left canvas')
    expect(await demo.act('move')).toMatch(/^Moved: /)
    const [stopped, started] = [await demo.shown('stopped'), await demo.shown('started')]
    expect(started).toEqual(stopped)
    expect(stopped.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(await demo.screen('left')).toBe(stopped.picture)
    expect(await demo.drawn('right')).toBeGreaterThan(stopped.ticks)
    expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(await demo.side('left')).toMatchObject({ occupancy: 'gone', ticks: stopped.ticks })
    const [atStop, atStart] = [await demo.screenshot('stopped'), await demo.screenshot('started')]
    expect(atStart.equals(atStop)).toBe(true)
    // Every arc is told of, and the stream that went is listed.
    const row = (name: string) => demo.page.locator('#stream tr', { hasText: name }).first().textContent()
    expect(await row('PAGES')).toMatch(/PAGES\d+×[\d.]+ MB/)
    expect(await row('END')).toMatch(/END1×/)
    await expect
      .poll(() => demo.page.locator('.arc .ms', { hasText: 'ms' }).count())
      .toBeGreaterThanOrEqual(8)
    await expect
      .poll(() => demo.page.locator('.state[data-right]').getAttribute('data-state'))
      .toBe('RUNNING')
    expect(await demo.page.locator('.state[data-left]').getAttribute('data-state')).toBe('STOP')
    await demo.page.close()
  })

  it('moves back and forth, and its picture stands still for the downtime alone', async () => {
    const demo = await browser.open()
    await demo.pace(FULL_SPEED)
    for (const [from, to] of [
      ['left', 'right'],
      ['right', 'left'],
      ['left', 'right'],
    ] as const) {
      await demo.drawn(from)
      await demo.act('move')
      await demo.drawn(to)
      expect(await demo.side(to)).toMatchObject({ occupancy: 'running', gaps: 0 })
      const [stopped, started] = [await demo.shown('stopped'), await demo.shown('started')]
      expect(started).toEqual(stopped)
      expect(await stillMs(demo)).toBeLessThan((await downtimeMs(demo)) + ROUNDING_MS)
    }
    await demo.page.close()
  })

  it('refuses a stream in which one bit is wrong, and the machine runs on where it was', async () => {
    const demo = await browser.open()
    await demo.pace(FULL_SPEED)
    expect(await demo.act('tamper')).toMatch(/^EBADMSG: .*checksum does not match.*in RUNNING again/)
    await demo.drawn('left')
    expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(await demo.side('right')).toMatchObject({ occupancy: 'empty' })
    // And nothing is left of it.
    expect(await demo.act('move')).toMatch(/^Moved: /)
    await demo.page.close()
  })

  it('cancels a move with the keyboard, and starts one', async () => {
    const demo = await browser.open()
    await demo.pace('1000000')
    await demo.page.focus('body')
    await demo.page.keyboard.press('m')
    await demo.page.waitForFunction(() =>
      document.getElementById('plot-note')?.textContent?.startsWith('pass'),
    )
    await demo.page.keyboard.press('Escape')
    expect(await demo.outcome()).toMatch(/^ECANCELED: /)
    await demo.drawn('left')
    expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(await demo.side('right')).toMatchObject({ occupancy: 'empty' })
    await demo.page.close()
  })

  it('moves a machine to a second tab', async () => {
    const demo = await browser.open()
    const other = await browser.open({ beside: demo.page, empty: true })
    await demo.page.locator('#to-tab', { hasText: 'To the other tab' }).waitFor()
    await demo.pace(FULL_SPEED)
    expect(await demo.act('to-tab')).toMatch(/^Moved: /)
    expect(await other.outcome()).toMatch(/^Arrived from another tab/)
    expect(await other.shown('started')).toEqual(await demo.shown('stopped'))
    await other.drawn('right')
    expect(await other.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
    await demo.page.context().close()
  })

  it.each([['pc', 'PC'], ...(hasGuest ? [['linux', 'Linux']] : [])])(
    'moves a whole %s to the other side and to a second tab, and not when a bit is wrong',
    async (kind) => {
      const demo = await browser.open({ empty: true })
      await demo.start(kind)
      await demo.page.check('#prove')
      await demo.pace(FULL_SPEED, '300')
      expect(await demo.act('tamper')).toMatch(/^EBADMSG: .*checksum does not match.*in RUNNING again/)
      await demo.drawn('left')
      expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
      expect(await demo.act('move')).toMatch(/^Moved: /)
      const [stopped, started] = [await demo.shown('stopped'), await demo.shown('started')]
      expect(started).toEqual(stopped)
      expect(stopped.digest).toMatch(/^[0-9a-f]{64}$/)
      expect(await demo.screen('left')).toBe(stopped.picture)
      await demo.drawn('right', 20)
      expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
      const other = await browser.open({ beside: demo.page, empty: true })
      await demo.page.locator('#to-tab', { hasText: 'To the other tab' }).waitFor()
      expect(await demo.act('to-tab')).toMatch(/^Moved: /)
      expect(await other.outcome()).toMatch(/^Arrived from another tab/)
      expect(await other.shown('started')).toEqual(await demo.shown('stopped'))
      await other.drawn('right', 20)
      expect(await other.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
      await demo.page.context().close()
    },
    GUEST_TIMEOUT_MS,
  )

  it.each([['pc', 60], ...(hasGuest ? [['linux', 40] as const] : [])] as const)(
    'shows no picture of a %s longer than its own pace and the downtime explain',
    async (kind, pictures) => {
      const demo = await browser.open({ empty: true })
      await demo.start(kind)
      await demo.pace(FULL_SPEED, '300')
      const screens = await ScreenWatch.of(demo.page)
      const late: number[] = []
      const misreported: number[] = []
      // The first moves wait for code to be compiled, any for what else the computer does.
      for (let move = 0; move < 5; move++) {
        await screens.gaps(5)
        const pace = longest(await screens.gaps(pictures), 0.95)
        await demo.act('move')
        // At both ends, and from the last picture at one to the first new one at the other.
        const gaps = await screens.gapsAcross(pictures / 2)
        late.push(longest(gaps) - pace - (await downtimeMs(demo)))
        const between = gaps.find(({ from, to }) => from !== to)
        expect(between).toBeDefined()
        misreported.push(Math.abs((await stillMs(demo)) - (between as Gap).ms))
      }
      expect(Math.min(...late)).toBeLessThan(TURN_MS)
      expect(Math.min(...misreported)).toBeLessThan(TURN_MS)
      await demo.page.context().close()
    },
  )

  it('makes a machine of an image that is dropped on it, and says what it lacks', async () => {
    const demo = await browser.open({ empty: true })
    // As where no guest was built.
    await demo.page.route('**/guest/index.json', (route) => route.fulfill({ json: {} }))
    await demo.page.reload()
    await demo.page.selectOption('#left select', 'linux')
    await demo.page.click('#left .power')
    expect(await demo.outcome()).toMatch(/^Cannot start Linux: .* run demo\/guest\/build\.sh/)
    await demo.page.selectOption('#left select', 'image')
    await demo.page.click('#left .power')
    expect(await demo.outcome()).toMatch(/^Cannot start your image: there is none, drop/)
    const name = 'plasma.img'
    const file = (bytes: Uint8Array) => ({ name, mimeType: '', buffer: Buffer.from(bytes) })
    await demo.page.setInputFiles('#file', file(new Uint8Array(512)))
    await demo.page.locator('#message', { hasText: 'Cannot use plasma.img' }).waitFor()
    await demo.page.setInputFiles('#file', file(plasmaBootSector()))
    await demo.page.locator('#message', { hasText: 'runs: Your image' }).waitFor()
    const side = demo.page.locator('[data-occupancy="running"]')
    await expect.poll(async () => new Set(await demo.screen('right')).size).toBeGreaterThan(30)
    await demo.pace(FULL_SPEED, '300')
    await demo.page.check('#prove')
    expect(await demo.act('move')).toMatch(/^Moved: /)
    expect(await demo.shown('started')).toEqual(await demo.shown('stopped'))
    expect(await side.getAttribute('id')).toBe('left')
    await demo.page.context().close()
  })

  it
    .runIf(hasSeabios)
    .each([
      ['CD', 'plasma.iso', () => bootCd(plasmaBootSector()), '320'],
      ['Linux kernel', 'plasma.bzimage', () => bootKernel(plasmaBootSector()), '320'],
      ...(hasGuest ? [['Linux kernel', 'bzImage', () => readFileSync(guestKernel), '720'] as const] : []),
    ] as const)('boots a %s that is dropped on it, %s, and moves it', async (_, name, image, width) => {
    const demo = await browser.open({ empty: true })
    const screens = await ScreenWatch.of(demo.page)
    await demo.page.setInputFiles('#file', { name, mimeType: '', buffer: Buffer.from(image()) })
    expect(await demo.outcome()).toMatch(/runs: Your image/)
    await demo.pace(FULL_SPEED, '300')
    await demo.page.check('#prove')
    // What the BIOS writes is a picture or two.
    await screens.gaps(40)
    expect(await demo.act('move')).toMatch(/^Moved: /)
    const [stopped, started] = [await demo.shown('stopped'), await demo.shown('started')]
    expect(started).toEqual(stopped)
    expect(stopped.digest).toMatch(/^[0-9a-f]{64}$/)
    expect(await demo.page.locator('#proof .started canvas').getAttribute('width')).toBe(width)
    expect((await screens.gapsAcross(20)).at(-1)).toMatchObject({ from: 0, to: 0 })
    await demo.page.context().close()
  })

  it('moves it between tabs that cannot give each other ports, too', async () => {
    const demo = await browser.open()
    const other = await browser.open({ beside: demo.page, empty: true })
    for (const { page } of [demo, other])
      await page.evaluate(() => Reflect.deleteProperty(globalThis, 'SharedWorker'))
    await demo.page.locator('#to-tab', { hasText: 'To the other tab' }).waitFor()
    await demo.pace(FULL_SPEED)
    expect(await demo.act('to-tab')).toMatch(/^Moved: /)
    expect(await other.shown('started')).toEqual(await demo.shown('stopped'))
    await demo.page.context().close()
  })

  it('fits a phone, and every button is reached by keyboard', async () => {
    const demo = await browser.open({ width: 390 })
    expect(await demo.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    const unnamed = await demo.page.evaluate(
      () =>
        [
          ...document.querySelectorAll<HTMLElement>('button, select, input:not([hidden]), canvas[tabindex]'),
        ].filter(
          (part) =>
            part.tabIndex < 0 ||
            !(part.textContent || part.ariaLabel || (part as HTMLInputElement).labels?.length),
        ).length,
    )
    expect(unnamed).toBe(0)
    await demo.page.close()
  })

  it('complained of nothing, and asked no other host for anything', () => {
    expect(browser.complaints).toEqual([])
  })
})

/** The longest gap, or that which so many are not longer than. */
function longest(gaps: readonly Gap[], part = 1): number {
  const lengths = gaps.map(({ ms }) => ms).sort((a, b) => a - b)
  return lengths[Math.ceil(lengths.length * part) - 1] ?? 0
}

function stillMs(demo: DemoPage): Promise<number> {
  return demo.page.locator('#proof').evaluate((proof) => Number(proof.dataset['freezeMs']))
}

async function downtimeMs(demo: DemoPage): Promise<number> {
  return Number(/down for ([\d.]+) ms/.exec((await demo.page.textContent('#message')) ?? '')?.[1])
}
