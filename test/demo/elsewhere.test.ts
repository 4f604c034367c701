/** Machines leave the browser and come back: through a file, and through a Node process. */

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DeviceState, readPrelude, Receiver, restore, save, VfioDevice } from 'stopcopy'
import { type Connection, fileSink, fileSource, listenWebSocket } from 'stopcopy/node'
import { FaultyDuplex } from 'stopcopy/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createFramebuffer } from '../../demo/devices/framebuffer/index.ts'
import { emptyPc } from '../../demo/machines/v86-machine.ts'
import { openHotel } from '../../demo/node/machine-hotel.ts'
import { stopcopy } from '../e2e/command.ts'
import { hasChromium } from '../support/chromium.ts'
import { V86_WASM } from '../support/v86-machine.ts'
import { demoBrowser, hasGuest } from './demo-browser.ts'

/** Linux takes seconds to boot, more where others work. */
const GUEST_TIMEOUT_MS = 90_000
const PATIENT = { timeout: 20_000 }

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
    await demo.download(saved)

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

  it.each([['pc'], ...(hasGuest ? [['linux']] : [])])(
    'save a %s in the browser, check and run it headless in Node, and load it again',
    async (kind) => {
      const folder = mkdtempSync(join(tmpdir(), 'stopcopy-demo-'))
      onTestFinished(() => rmSync(folder, { recursive: true }))
      const [saved, back] = [join(folder, 'saved.stopcopy'), join(folder, 'back.stopcopy')]
      const demo = await browser.open({ empty: true })
      await demo.start(kind)
      expect(await demo.act('save')).toMatch(/^Saved [\d.]+ [kM]B/)
      await demo.drawn('left')
      expect(await demo.side('left')).toMatchObject({ occupancy: 'running', gaps: 0 })
      await demo.download(saved)
      expect(await stopcopy(['verify', saved])).toMatchObject({ code: 0 })
      const inspected = await stopcopy(['inspect', saved, '--json'])
      expect(JSON.parse(inspected.stdout)).toMatchObject({
        header: { deviceType: 'v86' },
        regions: [{ name: 'ram' }, { name: 'vga' }, { name: 'rest' }],
      })

      const { configuration, source } = await readPrelude(fileSource(saved))
      const told: number[] = []
      const host = { onPicture: () => {}, onTick: (tick: number) => void told.push(tick) }
      const machine = await emptyPc(host, V86_WASM, configuration)
      const device = await VfioDevice.open(machine.driver)
      onTestFinished(async () => {
        await device.close()
        await machine.destroy?.()
      })
      await restore(device, source)
      const first = machine.ticks()
      told.length = 0
      await expect.poll(() => told.length, PATIENT).toBeGreaterThan(10)
      await save(device, fileSink(back))
      // What was counted before the save may be told after it.
      const from = told[0] as number
      expect([first, first + 1]).toContain(from)
      expect(told).toEqual(told.map((_, n) => from + n))
      const ticks = machine.ticks()

      await demo.page.setInputFiles('#file', back)
      await demo.page.locator('#message', { hasText: 'Loaded' }).waitFor()
      expect(await demo.outcome()).toBe(
        `Loaded on the right, and runs on from tick ${ticks.toLocaleString('en')}.`,
      )
      await demo.drawn('right')
      expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
      await demo.page.context().close()
    },
    GUEST_TIMEOUT_MS,
  )

  it('send a PC to Node, where it runs on, and fetch it from there', async () => {
    const said: string[] = []
    const { origin } = new URL(browser.url)
    const hotel = await openHotel({ port: 0, origins: [origin], say: (line) => said.push(line) })
    onTestFinished(() => hotel.close())
    const demo = await browser.open({ empty: true })
    await demo.start('pc')
    await demo.pace('', '300')
    await demo.page.fill('#node', new URL(hotel.takeUrl.replace('ws:', 'http://')).host)
    expect(await demo.act('to-node')).toMatch(/^Moved: /)
    const { ticks } = await demo.shown('stopped')
    await expect.poll(() => hotel.guests[0]?.machine.ticks(), PATIENT).toBeGreaterThan(ticks + 10)
    expect(await demo.act('from-node')).toMatch(/^Arrived from Node/)
    await demo.drawn('right')
    expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(said[0]).toMatch(/^PC \(v86\) came: .* runs here/)
    await demo.page.context().close()
  })

  it.each([
    ['the other side is asked', 'ask-again', /^Settled: the other side runs it/, 'gone'],
    ['the person decides it', 'verdict-run', /^Settled: it runs here, where it was/, 'running'],
  ] as const)('leave a cut hand-over undecided until %s', async (_, button, words, occupancy) => {
    let device: VfioDevice | undefined
    let faulty: FaultyDuplex | undefined
    const receiver = new Receiver(
      async () => {
        device = await VfioDevice.open(createFramebuffer())
        return [device]
      },
      {
        // Committed: from here on the page hears nothing.
        onTicket: (ticket) => {
          if (ticket?.phase === 'committed' && faulty !== undefined)
            faulty.faults.write = { cutAt: faulty.writtenBytes }
        },
      },
    )
    const accept = (connection: Connection): void => {
      const first = faulty === undefined
      const duplex = new FaultyDuplex(connection)
      if (first) faulty = duplex
      void receiver.accept(duplex).catch(() => {})
    }
    const { origin } = new URL(browser.url)
    const listener = await listenWebSocket('ws:127.0.0.1:0/take', accept, { origins: [origin] })
    onTestFinished(async () => {
      await listener.close()
      if (button !== 'verdict-run') await device?.close()
    })
    const demo = await browser.open()
    await demo.pace('')
    await demo.page.fill('#node', new URL(listener.url.replace('ws:', 'http://')).host)
    expect(await demo.act('to-node')).toMatch(/nobody here can tell who runs it/)
    expect(await demo.side('left')).toMatchObject({ occupancy: 'undecided' })
    expect(await demo.page.textContent('#undecided')).toContain('that the other side will not run it')
    await expect.poll(() => device?.state(), PATIENT).toBe(DeviceState.RUNNING)
    // What a person must make sure of first.
    if (button === 'verdict-run') await device?.close()
    expect(await demo.act(button)).toMatch(words)
    expect(await demo.side('left')).toMatchObject({ occupancy, gaps: 0 })
    expect(await demo.page.isVisible('#undecided')).toBe(false)
    if (occupancy === 'running') await demo.drawn('left')
    await demo.page.context().close()
  })

  it('refuse a damaged file before anything is touched', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-demo-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const demo = await browser.open()
    await demo.act('save')
    const damaged = join(folder, 'damaged.stopcopy')
    await demo.download(damaged)
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
    await expect.poll(() => Number(guest?.machine.ticks())).toBeGreaterThan(ticks + 10)

    await demo.page.click('#from-node')
    await demo.page.locator('#message', { hasText: 'Arrived from Node' }).waitFor()
    const arrived = await demo.shown('started')
    await expect.poll(() => said.at(-1)).toContain(`at tick ${arrived.ticks}`)
    await demo.drawn('right')
    expect(await demo.side('right')).toMatchObject({ occupancy: 'running', gaps: 0 })
    expect(said).toEqual([
      expect.stringMatching(/^Display came: .* runs here/),
      expect.stringMatching(/^Display went at tick /),
    ])
    await demo.page.context().close()
  })

  it('complained of nothing', () => {
    expect(browser.complaints).toEqual([])
  })
})
