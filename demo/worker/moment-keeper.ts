/**
 * Keeps how a machine was when it stopped and when it started, and watches that no tick is lost or repeated.
 *
 * @module
 */

import type { Machine, Picture } from '../machines/machine-kind.ts'
import type { Moment } from './messages.ts'
import { copyOf } from './screen.ts'

/** So much memory is always compared: a copy of it takes less than a millisecond. */
const SMALL_BYTES: number = 4 * 1024 * 1024

/** Of one machine, which runs when this is made. */
export class MomentKeeper {
  /** How it was when it last started; there once it has drawn a new picture. */
  started: (() => Promise<Moment>) | undefined
  /** Its ticks then. */
  startedAtTick = 0
  /** Ticks that did not follow the one before. */
  gaps = 0
  longestGapMs = 0
  works = true
  readonly #machine: Machine
  #prove = false
  #ticks: number | undefined
  /** No tick was told since it started. */
  #isFirst = false
  #pictureAtMs: number = nowMs()
  #firstPicture: ((atMs: number) => void) | undefined
  #wake: (() => void) | undefined
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

  /** It will start next. @param prove - all its memory is to be compared: it is copied while it stands still */
  expect(prove: boolean): void {
    this.#prove = prove
  }

  /** The machine did a tick. */
  tick(ticks: number): void {
    const before = this.#ticks
    const isLate = this.#isFirst && this.#machine.tellsLate === true && ticks === before
    if (before !== undefined && ticks !== before + 1 && !isLate) this.gaps++
    this.#ticks = ticks
    this.#isFirst = false
  }

  /** A new picture was drawn. */
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
    this.wake()
    // What it drew last is seen, even if nobody had looked yet.
    this.#machine.look?.()
    this.works = false
  }

  /** How it is, while it stands still: nothing is copied before somebody asks, so nothing waits for it. @param show - shows its picture */
  async stopped(prove: boolean, show: () => Picture | undefined): Promise<Moment> {
    const picture = show()
    const digest = this.#isCompared(prove) ? await digestOf(joined(this.#machine.memory())) : ''
    return momentOf(this.#machine.ticks(), digest, picture, this.#pictureAtMs)
  }

  /** It is about to do something: what it was before that is kept. */
  wake(): void {
    this.#wake?.()
    this.#wake = undefined
  }

  /** It works from here on, from what it holds. @param show - shows its picture, which takes a while */
  start(show: () => Picture | undefined): void {
    const machine = this.#machine
    const ticks = machine.ticks()
    this.works = true
    this.startedAtTick = ticks
    this.#ticks = ticks
    this.#isFirst = true
    const first = new Promise<number>((resolve) => {
      this.#firstPicture = resolve
    })
    let picture: Picture | undefined
    this.#wake = () => {
      const shown = show()
      // In a moment it changes.
      picture = shown === undefined ? undefined : { ...shown, pixels: shown.pixels.slice() }
    }
    // What tells when it wakes need not wait for that: nobody else waits for a picture that was seen already.
    if (machine.wakes !== true) this.wake()
    const memory = this.#isCompared(this.#prove) ? joined(machine.memory()) : undefined
    this.#prove = false
    this.started = async () => {
      this.wake()
      const digest = memory === undefined ? '' : await digestOf(memory)
      return momentOf(ticks, digest, picture, await first)
    }
  }

  #isCompared(prove: boolean): boolean {
    return prove || this.#machine.memory().reduce((total, { length }) => total + length, 0) <= SMALL_BYTES
  }
}

async function momentOf(
  ticks: number,
  digest: string,
  picture: Picture | undefined,
  pictureAtMs: number,
): Promise<Moment> {
  const bitmap = picture === undefined ? undefined : await createImageBitmap(copyOf(picture))
  return { ticks, digest, picture: bitmap, pictureAtMs }
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
