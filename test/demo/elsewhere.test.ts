/** Machines leave the browser and come back: through a file, and through a Node process. */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { restore, save, VfioDevice } from 'stopcopy'
import { fileSink, fileSource } from 'stopcopy/node'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createFramebuffer } from '../../demo/devices/framebuffer/index.ts'
import { openHotel } from '../../demo/node/machine-hotel.ts'
import { stopcopy } from '../e2e/command.ts'
import { demoBrowser, hasChromium } from './demo-browser.ts'

describe.runIf(hasChromium)('the page and Node', () => {
  const browser = demoBrowser()

  it('save a machine in the browser, check and run it in Node, and load it again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-demo-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const [saved, back] = [join(folder, 'saved.stopcopy'), join(folder, 'back.stopcopy')]
    const demo = await browser.open()
    expect(await demo.act('save')).toMatch(/^Saved [\d.]+ MB/)
    await demo.drawn('left')
    expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
    const downloading = demo.page.waitForEvent('download')
    await demo.page.click('#saves button[aria-label^="Download"]')
    await (await downloading).saveAs(saved)

    expect(await stopcopy(['verify', saved])).toMatchObject({ code: 0 })
    const inspected = await stopcopy(['inspect', saved, '--json'])
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      header: { deviceType: 'framebuffer' },
      regions: [{ name: 'video', byteLength: 2 ** 21 }],
    })

    const drawing = new EventTarget()
    const display = createFramebuffer({ onPicture: () => drawing.dispatchEvent(new Event('picture')) })
    const device = await VfioDevice.open(display)
    onTestFinished(() => device.close())
    await restore(device, fileSource(saved))
    for (let pictures = 0; pictures < 20; pictures++) await once(drawing, 'picture')
    await save(device, fileSink(back))
    const { tick } = display.state

    await demo.page.setInputFiles('#file', back)
    await demo.page.locator('#message', { hasText: 'Loaded' }).waitFor()
    expect(await demo.outcome()).toBe(
      `Loaded on the right, and runs on from tick ${tick.toLocaleString('en')}.`,
    )
    await demo.drawn('right')
    expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
    await demo.page.context().close()
  })

  it('refuse a damaged file before anything is touched', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-demo-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const demo = await browser.open()
    await demo.act('save')
    const downloading = demo.page.waitForEvent('download')
    await demo.page.click('#saves button[aria-label^="Download"]')
    const damaged = join(folder, 'damaged.stopcopy')
    await (await downloading).saveAs(damaged)
    const bytes = readFileSync(damaged)
    bytes[1_000_000] = (bytes[1_000_000] as number) ^ 1
    writeFileSync(damaged, bytes)
    await demo.page.setInputFiles('#file', damaged)
    await demo.page.locator('#message', { hasText: 'EBADMSG' }).waitFor()
    await demo.drawn('left')
    expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(await demo.side('right')).toMatchObject({ occupancy: 'empty' })
    await demo.page.context().close()
  })

  it('send a running machine to Node and fetch it from there', async () => {
    const said: string[] = []
    const { origin } = new URL(browser.url)
    const hotel = await openHotel({ port: 0, origins: [origin], say: (line) => said.push(line) })
    onTestFinished(() => hotel.close())
    const demo = await browser.open()
    await demo.pace('')
    await demo.page.fill('#node', new URL(hotel.takeUrl.replace('ws:', 'http://')).host)
    await demo.page.click('#to-node')
    expect(await demo.outcome()).toMatch(/^Moved: /)
    const { ticks } = await demo.shown('stopped')
    const [guest] = hotel.guests
    await expect.poll(() => Number(guest?.display.state.tick)).toBeGreaterThan(ticks + 10)

    await demo.page.click('#from-node')
    await demo.page.locator('#message', { hasText: 'Arrived from Node' }).waitFor()
    const arrived = await demo.shown('started')
    await expect.poll(() => said.at(-1)).toContain(`at tick ${arrived.ticks}`)
    await demo.drawn('right')
    expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(said).toEqual([
      expect.stringMatching(/^a display came: .* runs here/),
      expect.stringMatching(/^a display went at tick /),
    ])
    await demo.page.context().close()
  })

  it('complained of nothing', () => {
    expect(browser.complaints).toEqual([])
  })
})
