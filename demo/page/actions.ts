/**
 * What the buttons do.
 *
 * @module
 */

import type { MigrateProgress } from 'stopcopy'
import { kindOf } from '../machines/kinds.ts'
import type { Link, Notice, SentResult } from '../worker/messages.ts'
import { showArrival, showProof, showStream } from './evidence.ts'
import { element, formatBytes, formatMs } from './format.ts'
import { ImageShelf } from './image-shelf.ts'
import { LivePlot } from './live-plot.ts'
import { moved, portsOf } from './hand-over-words.ts'
import { SaveList } from './save-list.ts'
import { Side } from './side.ts'
import { StateDiagram } from './state-diagram.ts'
import { TabMeeting } from './tab-meeting.ts'
import { Task } from './task.ts'
import { UndecidedPanel } from './undecided.ts'

/** Where in the bytes of a connection the bit is that the tamper button flips. */
const DAMAGED_BYTE = 500_000
const NODE_ADDRESS = '127.0.0.1:4281'
/** Of an empty page, such as the second tab: nothing is started. */
const EMPTY = new URLSearchParams(location.search).has('empty')

const BUTTONS = ['move', 'save', 'load', 'to-tab', 'to-node', 'from-node', 'tamper'] as const
type ButtonName = (typeof BUTTONS)[number]

/** The page's parts, and what they do together. */
export class Actions {
  readonly #left: Side
  readonly #right: Side
  readonly #diagram = new StateDiagram(element('diagram'))
  readonly #plot = new LivePlot(element('plot'), element('plot-note'))
  readonly #task = new Task((busy) => this.#look(busy))
  readonly #saves = new SaveList((file) => void this.#open(file))
  readonly #shelf = new ImageShelf((files) => {
    for (const { client } of [this.#left, this.#right]) void client.ask({ ask: 'equip', files })
  })
  readonly #undecided = new UndecidedPanel(
    (way) => void this.#task.run('Settling', () => this.#undecided.take(way)),
  )
  readonly #prove = element<HTMLInputElement>('prove')
  readonly #file = element<HTMLInputElement>('file')
  readonly #node = element<HTMLInputElement>('node')
  readonly #tabs: TabMeeting
  #freeTabs = 0
  /** The side that a machine of elsewhere came to last. */
  #arrivedAt: Side
  /** The side that a person used last. */
  #used: Side
  #firstRemaining = 0

  constructor() {
    const listener = {
      notice: (side: Side, notice: Notice): void => this.#notice(side, notice),
      power: (side: Side): void => void this.#power(side),
    }
    this.#left = new Side('left', listener)
    this.#right = new Side('right', listener)
    this.#used = this.#left
    this.#arrivedAt = this.#left
    this.#tabs = new TabMeeting({
      isFree: () => !this.#task.isBusy && this.#empty !== undefined,
      invited: (link, prove) => this.#arrive('another tab', link, prove),
      asked: (link) => void link.then((found) => this.#answer(found)),
      changed: (others, free) => {
        this.#freeTabs = free
        element('tabs').textContent =
          others === 0 ? '' : `${others} other ${others === 1 ? 'tab' : 'tabs'} open`
        this.#look(this.#task.isBusy)
      },
    })
    this.#node.value = NODE_ADDRESS
    this.#listen()
  }

  async begin(): Promise<void> {
    this.#look(false)
    void this.#saves.show()
    const looked = this.#shelf.begin()
    if (EMPTY) this.#task.say('Empty: send a machine here from the other tab.')
    else await this.#power(this.#left)
    await looked
  }

  /** The machine that the buttons are for. */
  get #source(): Side | undefined {
    const running = [this.#left, this.#right].filter(({ occupancy }) => occupancy === 'running')
    return running.find((side) => side === this.#used) ?? running[0]
  }

  get #empty(): Side | undefined {
    return [this.#right, this.#left].find(({ occupancy }) => occupancy === 'empty' || occupancy === 'gone')
  }

  async #power(side: Side): Promise<void> {
    this.#used = side
    if (side.occupancy === 'running') {
      await side.client.ask({ ask: 'power-off' })
      side.occupancy = 'empty'
      this.#diagram.place(side.name, undefined)
      this.#look(this.#task.isBusy)
      return
    }
    const { title } = kindOf(side.kind)
    await this.#task.run(`Starting the ${side.name} machine`, async () => {
      await side.client.ask({ ask: 'power-on', kind: side.kind })
      side.occupancy = 'running'
      return `The ${side.name} machine runs: ${title}.`
    })
  }

  #move(damageAt?: number): Promise<void> {
    const source = this.#source
    return this.#task.run(
      damageAt === undefined ? 'Moving' : 'Moving, with one bit flipped on the way',
      async () => {
        const from = needed(source, 'Cannot move: no machine runs here, switch one on')
        const to = from === this.#left ? this.#right : this.#left
        if (to.occupancy === 'running')
          throw new Error(`Cannot move: the ${to.name} side is in use, switch it off`)
        const { port1, port2 } = new MessageChannel()
        const receiving = this.#receive(to, { via: 'port', port: port2 }, this.#prove.checked)
        // Its failure is the sender's, too.
        const over = Promise.allSettled([receiving])
        let sent: SentResult
        try {
          sent = await this.#send(from, { via: 'port', port: port1 }, damageAt)
        } catch (error) {
          void to.client.ask({ ask: 'cancel' })
          await over
          throw error
        }
        const { started } = await receiving
        if (sent.stopped !== undefined) showProof(sent.stopped, started)
        showStream(await from.client.ask({ ask: 'stream' }))
        this.#used = to
        to.canvas.focus({ preventScroll: true })
        return moved(sent)
      },
    )
  }

  #toTab(): Promise<void> {
    if (this.#freeTabs === 0) {
      open(new URL('?empty', location.href), '_blank')
      return Promise.resolve()
    }
    const source = this.#source
    return this.#task.run('Moving to the other tab', async () => {
      const from = needed(source, 'Cannot move: no machine runs here, switch one on')
      const link = await this.#tabs.invite('take', this.#prove.checked)
      return this.#sendAway(from, link, () => this.#tabs.invite('answer', false))
    })
  }

  #toNode(): Promise<void> {
    const source = this.#source
    return this.#task.run('Moving to Node', () => {
      const from = needed(source, 'Cannot move: no machine runs here, switch one on')
      const link: Link = { via: 'web-socket', url: `ws://${this.#node.value}/take` }
      return this.#sendAway(from, link, () => Promise.resolve(link))
    })
  }

  #fromNode(): void {
    const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(this.#node.value) ?? []
    const url = `ws://${host}:${Number(port) + 1}/give`
    this.#arrive('Node', Promise.resolve({ via: 'web-socket', url }), this.#prove.checked)
  }

  /** @param again - connects to the other side once more, to ask it how the hand-over ended */
  async #sendAway(from: Side, link: Link, again: () => Promise<Link>): Promise<string> {
    const sent = await this.#send(from, link)
    if (sent.report.owner === 'undecided') this.#wonder(from, again)
    if (sent.stopped !== undefined) showProof(sent.stopped, undefined)
    showStream(await from.client.ask({ ask: 'stream' }))
    return moved(sent)
  }

  /** Nobody knows who runs it, so it stays stopped until that is settled. */
  #wonder(from: Side, connect: () => Promise<Link>): void {
    from.occupancy = 'undecided'
    this.#undecided.show({
      connect,
      settle: (how) => from.client.ask({ ask: 'settle', how }, portsOf(how)),
      settled: (owner) => {
        from.occupancy = owner === 'source' ? 'running' : 'gone'
      },
    })
  }

  /** Another tab asks how its hand-over to here ended. */
  #answer(link: Link): void {
    void this.#arrivedAt.client.ask({ ask: 'answer', link }, portsOf(link)).catch(() => {})
  }

  /** @returns whether a machine can come here now */
  #arrive(where: string, link: Promise<Link>, prove: boolean): boolean {
    const side = this.#empty
    if (side === undefined || this.#task.isBusy) {
      this.#task.say('Cannot fetch: both sides are in use, switch one off', 'failed')
      return false
    }
    void this.#task.run(`A machine comes from ${where}`, async () => {
      const found = await link
      this.#arrivedAt = side
      const { report, started } = await this.#receive(side, found, prove)
      showArrival(started)
      this.#used = side
      return `Arrived from ${where} at tick ${started.ticks.toLocaleString('en')}: ${formatBytes(report.bytes)}.`
    })
    return true
  }

  async #send(from: Side, link: Link, damageAt?: number): Promise<SentResult> {
    const bandwidthLimit = Number(element<HTMLSelectElement>('bandwidth').value)
    this.#plot.begin()
    this.#firstRemaining = 0
    from.occupancy = 'moving'
    try {
      const options = {
        downtimeLimitMs: Number(element<HTMLSelectElement>('downtime').value),
        prove: this.#prove.checked,
        ...(bandwidthLimit > 0 ? { bandwidthLimit } : {}),
        ...(damageAt === undefined ? {} : { damageAt }),
      }
      const sent = await from.client.ask({ ask: 'send', link, options }, portsOf(link))
      from.occupancy = 'gone'
      this.#plot.end(sent.report)
      return sent
    } catch (error) {
      // A machine whose hand-over fails runs on where it was.
      from.occupancy = 'running'
      throw error
    }
  }

  async #receive(side: Side, link: Link, prove: boolean) {
    side.occupancy = 'moving'
    try {
      const received = await side.client.ask({ ask: 'receive', link, prove }, portsOf(link))
      side.kind = received.kind
      side.occupancy = 'running'
      return received
    } catch (error) {
      side.occupancy = 'empty'
      this.#diagram.place(side.name, undefined)
      throw error
    }
  }

  #save(): Promise<void> {
    const source = this.#source
    return this.#task.run('Saving', async () => {
      const from = needed(source, 'Cannot save: no machine runs here, switch one on')
      const time = new Date().toTimeString().slice(0, 8).replaceAll(':', '-')
      const { file, downtimeMs, stream } = await from.client.ask({
        ask: 'save',
        name: `${from.kind}-${time}.stopcopy`,
      })
      showStream(stream)
      await this.#saves.show()
      return `Saved ${formatBytes(file.size)}; it stood still for ${formatMs(downtimeMs)} and runs on.`
    })
  }

  /** A saved machine is loaded; of anything else a machine is made. */
  async #open(file: File): Promise<void> {
    if (this.#task.isBusy) return
    let words = ''
    try {
      const shelved = await this.#shelf.put(file)
      if (shelved.as === 'stream') return await this.#load(file)
      words = shelved.words
      const side = this.#empty
      if (shelved.as === 'image' && side !== undefined) {
        side.kind = 'image'
        return await this.#power(side)
      }
      if (shelved.as === 'image') words += ': switch a side off, and Your image on'
      this.#task.say(`${words}.`, 'done')
    } catch (error) {
      this.#task.say(error instanceof Error ? error.message : String(error), 'failed')
    }
  }

  #load(file: File): Promise<void> {
    return this.#task.run(`Loading ${file.name}`, async () => {
      const side = this.#empty ?? this.#used
      side.occupancy = 'moving'
      try {
        const { ticks, kind, stream } = await side.client.ask({ ask: 'load', file })
        side.kind = kind
        showStream(stream)
        this.#used = side
        return `Loaded on the ${side.name}, and runs on from tick ${ticks.toLocaleString('en')}.`
      } finally {
        side.occupancy = side.state === undefined ? 'empty' : 'running'
      }
    })
  }

  #notice(side: Side, notice: Notice): void {
    if (notice.tell === 'arc')
      this.#diagram.walk(side.name, notice.from as never, notice.to as never, notice.ms)
    if (notice.tell === 'reset') this.#diagram.place(side.name, side.state)
    if (notice.tell === 'migration') this.#progress(notice.progress)
    if (notice.tell === 'bytes' && notice.totalBytes !== undefined)
      this.#task.at(notice.bytes / notice.totalBytes)
  }

  #progress(progress: MigrateProgress): void {
    this.#plot.add(progress)
    this.#firstRemaining = Math.max(this.#firstRemaining, progress.remainingBytes ?? 0)
    if (progress.remainingBytes !== undefined)
      this.#task.at(1 - progress.remainingBytes / this.#firstRemaining)
  }

  #look(busy: boolean): void {
    const runs = this.#source !== undefined
    const hasRoom = this.#empty !== undefined
    const allowed: Record<ButtonName, boolean> = {
      move: runs && hasRoom,
      tamper: runs && hasRoom,
      save: runs,
      load: true,
      'to-tab': runs || this.#freeTabs === 0,
      'to-node': runs,
      'from-node': hasRoom,
    }
    for (const name of BUTTONS) element<HTMLButtonElement>(name).disabled = busy || !allowed[name]
    element<HTMLButtonElement>('cancel').disabled = !busy
    this.#left.isBusy = busy
    this.#right.isBusy = busy
    const arrow = this.#source === this.#right ? '←' : '→'
    element('move').querySelector('span')?.replaceChildren(arrow)
    element('to-tab')
      .querySelector('span')
      ?.replaceChildren(this.#freeTabs > 0 ? 'To the other tab' : 'Open a second tab')
    this.#tabs.tell()
  }

  #listen(): void {
    const acts: Record<ButtonName, () => unknown> = {
      move: () => this.#move(),
      tamper: () => this.#move(DAMAGED_BYTE),
      save: () => this.#save(),
      load: () => this.#file.click(),
      'to-tab': () => this.#toTab(),
      'to-node': () => this.#toNode(),
      'from-node': () => this.#fromNode(),
    }
    for (const name of BUTTONS) element(name).addEventListener('click', () => void acts[name]())
    element('cancel').addEventListener('click', () => this.#cancel())
    this.#file.addEventListener('change', () => {
      const [file] = this.#file.files ?? []
      this.#file.value = ''
      if (file !== undefined) void this.#open(file)
    })
    for (const side of [this.#left, this.#right]) {
      side.canvas.addEventListener('focus', () => {
        this.#used = side
        this.#look(this.#task.isBusy)
      })
    }
    document.addEventListener('keydown', (event) => this.#key(event))
    document.addEventListener('dragover', (event) => event.preventDefault())
    document.addEventListener('drop', (event) => {
      event.preventDefault()
      const [file] = event.dataTransfer?.files ?? []
      if (file !== undefined) void this.#open(file)
    })
  }

  #key(event: KeyboardEvent): void {
    const { target, key, ctrlKey, metaKey, altKey } = event
    if (ctrlKey || metaKey || altKey || target instanceof HTMLInputElement) return
    if (key === 'Escape') return this.#cancel()
    const button = document.querySelector<HTMLButtonElement>(
      `[aria-keyshortcuts="${CSS.escape(key.toLowerCase())}"]`,
    )
    button?.click()
  }

  #cancel(): void {
    for (const side of [this.#left, this.#right]) void side.client.ask({ ask: 'cancel' })
  }
}

function needed(side: Side | undefined, text: string): Side {
  if (side === undefined) throw new Error(text)
  return side
}
