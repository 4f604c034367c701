/**
 * Keeps how a machine was when it stopped and when it started, and watches that no tick is lost or repeated.
 *
 * @module
 */

import type { Machine } from '../machines/machine-kind.ts'
import type { Moment } from './messages.ts'
import { copyOf } from './screen.ts'

/** Of one machine, which runs when this is made. */
export class MomentKeeper {
  /** How it was when it last stopped; the digest is computed when asked for. */
  stopped: (() => Promise<Moment>) | undefined
  /** How it was when it last started. */
  started: (() => Promise<Moment>) | undefined
  /** Pictures that did not follow the one before. */
  gaps = 0
  longestGapMs = 0
  works = true
  readonly #machine: Machine
  #ticks: number | undefined
  #pictureAtMs: number = nowMs()
  #firstPicture: ((atMs: number) => void) | undefined
  #pictures = 0
  #countedAtMs: number = nowMs()

  constructor(machine: Machine) {
    this.#machine = machine
  }

  /** Pictures a second, since it was asked for last. */
  get perSecond(): number {
    const now = nowMs()
    const rate = (this.#pictures * 1000) / Math.max(1, now - this.#countedAtMs)
    this.#pictures = 0
    this.#countedAtMs = now
    return rate
  }

  /** Starts to look for the longest time between two pictures. */
  watchGaps(): void {
    this.longestGapMs = 0
  }

  /** A picture was made. */
  picture(): void {
    const ticks = this.#machine.ticks()
    if (this.#ticks !== undefined && ticks !== this.#ticks + 1) this.gaps++
    this.#ticks = ticks
    this.#pictures++
    const now = nowMs()
    this.longestGapMs = Math.max(this.longestGapMs, now - this.#pictureAtMs)
    this.#pictureAtMs = now
    this.#firstPicture?.(now)
    this.#firstPicture = undefined
  }

  /** It works no more. */
  stop(): void {
    this.works = false
    const atMs = this.#pictureAtMs
    this.stopped = this.#keep(() => Promise.resolve(atMs))
  }

  /** It works from here on, from what it holds. */
  start(): void {
    this.works = true
    this.#ticks = this.#machine.ticks()
    const first = new Promise<number>((resolve) => {
      this.#firstPicture = resolve
    })
    this.started = this.#keep(() => first)
  }

  #keep(pictureAtMs: () => Promise<number>): () => Promise<Moment> {
    const machine = this.#machine
    const ticks = machine.ticks()
    const memory = new Blob(machine.memory().map((bytes) => bytes.slice()))
    const shown = machine.picture()
    const picture = shown === undefined ? undefined : copyOf(shown)
    return async () => ({
      ticks,
      digest: await digestOf(memory),
      picture: picture === undefined ? undefined : await createImageBitmap(picture),
      pictureAtMs: await pictureAtMs(),
    })
  }
}

/** Comparable between Workers. */
function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** SHA-256; empty where the context is not secure. */
async function digestOf(memory: Blob): Promise<string> {
  if (globalThis.crypto?.subtle === undefined) return ''
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await memory.arrayBuffer()))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
