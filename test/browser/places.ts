/**
 * Where ends of migrations are, in a real browser and in Node, and how a test reaches them.
 *
 * @module
 */

import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { type Connection, listenWebSocket } from 'stopcopy/node'
import { afterAll, beforeAll } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { serveStatic } from '../runtime/static-server.mjs'
import { MigrationEnd } from './migration-end.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/**
 * Data channels over the loopback, also where there is no other network: a page that may use the microphone is
 * told its addresses, and they need no multicast DNS then.
 */
const WEBRTC_FLAG = '--allow-loopback-in-peer-connection'
const WEBRTC_PERMISSION = 'microphone'

/** What `page.mjs` puts into its page. */
interface PageGlobals {
  callEnd(place: string, name: string, command: string, words: unknown): Promise<unknown>
  endWorker(place: string): Promise<void>
  isReady?: boolean
}

/** What was handed over; the digest is that of the memory. */
export interface HandedOver {
  readonly sequence: string
  readonly digest: string
}

/** How a device is at last. */
export interface Proof {
  readonly state: string
  readonly worksOn: boolean
  readonly matches: boolean
}

/** What `migrate` or `receive` came to. */
export interface Outcome {
  readonly owner?: string
  readonly code?: string
  readonly message?: string
  readonly bytes?: number
}

/** One end, wherever it is; commands are the methods of `migration-end.mjs`. */
export class End {
  readonly #call: (command: string, words: unknown) => Promise<unknown>

  constructor(call: (command: string, words: unknown) => Promise<unknown>) {
    this.#call = call
  }

  async do<T = void>(command: string, words?: unknown): Promise<T> {
    return (await this.#call(command, words)) as T
  }

  open(isSource: boolean, memoryBytes: number): Promise<void> {
    return this.do('open', { isSource, memoryBytes })
  }
  proof(): Promise<Proof> {
    return this.do('proof')
  }
  handedOver(): Promise<HandedOver> {
    return this.do('handedOver')
  }
  taken(): Promise<{ bytes: number; isHeld: boolean }> {
    return this.do('taken')
  }
  /** All that was sent in messages where this end is, by this end or another. */
  watched(): Promise<{ bytes: number; peakBufferedBytes: number }> {
    return this.do('watched')
  }
}

/** A browser with two tabs, and what went wrong in them. */
export interface Places {
  readonly complaints: string[]
  /** Tabs of one context: they share BroadcastChannels. */
  readonly tabs: readonly [Page, Page]
  /** The origin of the pages. */
  readonly origin: string
  /** One more tab beside the others. */
  openTab(): Promise<Page>
}

/** Opens all for the tests of one file. */
export function openPlaces(): Places {
  const complaints: string[] = []
  let host: Awaited<ReturnType<typeof serveStatic>>
  let browser: Browser
  let context: BrowserContext
  let tabs: [Page, Page]
  const openTab = async (): Promise<Page> => {
    const page = await context.newPage()
    await page.goto(`${host.url}/isolated/test/browser/page.html`)
    await page.waitForFunction(() => (globalThis as unknown as PageGlobals).isReady)
    return page
  }
  beforeAll(async () => {
    host = await serveStatic(ROOT)
    browser = await launchChromium([WEBRTC_FLAG])
    context = await browser.newContext({ permissions: [WEBRTC_PERMISSION] })
    context.on('console', (message) => complaints.push(message.text()))
    context.on('weberror', (error) => complaints.push(String(error.error().stack)))
    tabs = [await openTab(), await openTab()]
  }, 60_000)
  afterAll(async () => {
    await browser?.close()
    host?.close()
  })
  return {
    complaints,
    openTab,
    get tabs() {
      return tabs
    },
    get origin() {
      return host.url
    },
  }
}

/** An end in a page, or in a Worker of it, by the name of that place. */
export function endIn(page: Page, name: string, place = 'page'): End {
  return new End((command, words) =>
    page.evaluate(
      (call) =>
        (globalThis as unknown as PageGlobals).callEnd(call.place, call.name, call.command, call.words),
      { place, name, command, words },
    ),
  )
}

/** Ends the Worker at that place of a page. */
export function endWorker(page: Page, place: string): Promise<void> {
  return page.evaluate((name) => (globalThis as unknown as PageGlobals).endWorker(name), place)
}

/** An end in this process. */
export interface NodeEnd {
  readonly end: End
  /** Where a page connects to. */
  readonly url: string
  /** Cuts the network between the two. */
  readonly cut: () => void
  readonly close: () => Promise<void>
}

/** An end in this process, which pages of `origin` reach by a WebSocket, and a network that can be cut. */
export async function endInNode(origin: string): Promise<NodeEnd> {
  let take: (connection: Connection) => void
  const connected = new Promise<Connection>((resolve) => {
    take = resolve
  })
  const listener = await listenWebSocket('ws:127.0.0.1:0/device', (connection) => take(connection), {
    origins: [origin],
  })
  const sockets = new Set<Socket>()
  const network = createServer((page) => {
    const node = connect(Number(/:(\d+)\//.exec(listener.url)?.[1]))
    for (const socket of [page, node]) {
      sockets.add(socket)
      socket.on('error', () => {})
    }
    page.pipe(node).pipe(page)
  })
  await new Promise<void>((resolve) => network.listen(0, '127.0.0.1', resolve))
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  const end = new MigrationEnd({ accept: async () => ({ duplex: await connected }) })
  const commands = end as unknown as Record<string, (words: unknown) => Promise<unknown>>
  return {
    end: new End(async (command, words) => commands[command]?.(words)),
    url: `ws://127.0.0.1:${(network.address() as AddressInfo).port}/device`,
    cut,
    close: async () => {
      cut()
      network.close()
      await listener.close()
    },
  }
}
