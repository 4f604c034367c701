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
  /** Ticks that did not follow the one before. */
  gaps = 0
  longestGapMs = 0
  works = true
  readonly #machine: Machine
  #ticks: number | undefined
  /** No tick was told since it started. */
  #isFirst = false
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

  /** The machine did a tick. */
  tick(ticks: number): void {
    const before = this.#ticks
    const isLate = this.#isFirst && this.#machine.tellsLate === true && ticks === before
    if (before !== undefined && ticks !== before + 1 && !isLate) this.gaps++
    this.#ticks = ticks
    this.#isFirst = false
  }

  /** A picture was made. */
  picture(): void {
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
    this.#isFirst = true
    const first = new Promise<number>((resolve) => {
      this.#firstPicture = resolve
    })
    this.started = this.#keep(() => first)
  }

  #keep(pictureAtMs: () => Promise<number>): () => Promise<Moment> {
    const machine = this.#machine
    const ticks = machine.ticks()
    const memory = joined(machine.memory())
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
async function digestOf(memory: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle === undefined) return ''
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', memory))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((total, { length }) => total + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
