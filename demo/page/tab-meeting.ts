/**
 * Tabs of this page find each other on a BroadcastChannel; the bytes then have a MessagePort between the two
 * Workers, which a SharedWorker hands out, or where there is none a channel of their own.
 *
 * @module
 */

import type { Link } from '../worker/messages.ts'

const CHANNEL = 'stopcopy-demo'
/** A tab that was asked and does not answer is gone. */
const ANSWER_MS = 3000

interface ToAll {
  readonly say: 'who' | 'bye' | 'here'
  readonly from: string
  readonly free?: boolean
}

interface ToOne {
  readonly say: 'invite' | 'yes' | 'no'
  readonly from: string
  readonly to: string
  readonly meeting: string
  /** Of an invitation: to take a machine, or to say how a hand-over ended. */
  readonly what?: Invitation
  readonly prove?: boolean
}

/** What a tab is asked for. */
export type Invitation = 'take' | 'answer'

type Word = ToAll | ToOne

/** What the page has to do with other tabs. */
export interface TabListener {
  /** Whether there is room for a machine. */
  isFree(): boolean
  /** A machine comes; false: it cannot. */
  invited(link: Promise<Link>, prove: boolean): boolean
  /** The tab that sent a machine here asks what became of it. */
  asked(link: Promise<Link>): void
  /** Other tabs came, went or changed. */
  changed(others: number, free: number): void
}

/** This tab among the tabs. */
export class TabMeeting {
  readonly #channel = new BroadcastChannel(CHANNEL)
  readonly #self: string = randomName()
  readonly #others = new Map<string, boolean>()
  readonly #answers = new Map<string, (word: 'yes' | 'no') => void>()
  readonly #listener: TabListener
  #broker: SharedWorker | undefined
  /** The tab that was sent a machine last. */
  #taker: string | undefined
  #told: boolean | undefined

  constructor(listener: TabListener) {
    this.#listener = listener
    this.#channel.addEventListener('message', ({ data }: MessageEvent<Word>) => this.#hear(data))
    addEventListener('pagehide', () => this.#say({ say: 'bye', from: this.#self }))
    this.#say({ say: 'who', from: this.#self })
    this.tell()
  }

  /** Tells the others whether there is room here, when that has changed. */
  tell(): void {
    const free = this.#listener.isFree()
    if (free !== this.#told) this.#say({ say: 'here', from: this.#self, free })
    this.#told = free
  }

  /** Asks a tab with room to take a machine, or the last one that did. @throws Error when none does */
  async invite(what: Invitation, prove: boolean): Promise<Link> {
    const to = what === 'take' ? [...this.#others].find(([, free]) => free)?.[0] : this.#taker
    if (to === undefined) throw new Error('Cannot send: no other tab has room, open one')
    if (what === 'take') this.#taker = to
    const meeting = randomName()
    const answer = await new Promise<'yes' | 'no' | 'silent'>((resolve) => {
      this.#answers.set(meeting, resolve)
      setTimeout(() => resolve('silent'), ANSWER_MS)
      this.#say({ say: 'invite', from: this.#self, to, meeting, what, prove })
    })
    this.#answers.delete(meeting)
    if (answer === 'yes') return this.#link(meeting)
    if (answer === 'silent') this.#others.delete(to)
    this.#changed()
    throw new Error(
      `Cannot send: the other tab ${answer === 'no' ? 'has no room now' : 'does not answer'}, try again`,
    )
  }

  #hear(word: Word): void {
    if (!('to' in word)) return this.#heardOf(word)
    if (word.to !== this.#self) return
    const { say, from: to, meeting, what = 'take', prove = false } = word
    if (say !== 'invite') return this.#answers.get(meeting)?.(say)
    if (what === 'answer') this.#listener.asked(this.#link(meeting))
    const isTaken =
      what === 'answer' || (this.#listener.isFree() && this.#listener.invited(this.#link(meeting), prove))
    this.#say({ say: isTaken ? 'yes' : 'no', from: this.#self, to, meeting })
  }

  #heardOf({ say, from, free = false }: ToAll): void {
    if (say === 'who') {
      this.#told = undefined
      this.tell()
      return
    }
    if (say === 'bye') this.#others.delete(from)
    else this.#others.set(from, free)
    this.#changed()
  }

  #changed(): void {
    this.#listener.changed(this.#others.size, [...this.#others.values()].filter(Boolean).length)
  }

  #link(meeting: string): Promise<Link> {
    if (globalThis.SharedWorker === undefined) return Promise.resolve({ via: 'broadcast', meeting })
    this.#broker ??= new SharedWorker(new URL('../worker/port-broker.ts', import.meta.url), {
      type: 'module',
    })
    const { port: broker } = this.#broker
    return new Promise((resolve) => {
      const hear = ({ data, ports: [port] }: MessageEvent): void => {
        if (data !== meeting || port === undefined) return
        broker.removeEventListener('message', hear)
        resolve({ via: 'port', port })
      }
      broker.addEventListener('message', hear)
      broker.start()
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port, no window
      broker.postMessage(meeting)
    })
  }

  #say(word: Word): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel, no window
    this.#channel.postMessage(word)
  }
}

/** Not `randomUUID`, which only secure contexts have. */
function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('')
}
