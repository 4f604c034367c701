/** Sees the screens of a page's machines from within their Workers, whatever the page says of them. @module */

import type { Page, Worker } from 'playwright-core'
import { expect } from 'vitest'

/** A picture that differs from the one before it. */
interface NewPicture {
  /** When it was drawn, milliseconds since 1970. */
  readonly atMs: number
  readonly hash: number
  /** Which of the page's screens it was drawn on. */
  readonly screen: number
}

/** How long one picture stood. */
export interface Gap {
  readonly ms: number
  /** The screens of the picture, and of the one that followed it. */
  readonly from: number
  readonly to: number
}

type WatchedScope = typeof globalThis & { drawn?: [atMs: number, hash: number][] }

/** Watches from when it is made. */
export class ScreenWatch {
  readonly #workers: readonly Worker[]
  #pictures: NewPicture[] = []

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers
  }

  static async of(page: Page): Promise<ScreenWatch> {
    const machines = (): Worker[] =>
      page.workers().filter((worker) => worker.url().includes('machine-worker'))
    await expect.poll(() => machines().length).toBe(2)
    const workers = machines()
    for (const worker of workers) await worker.evaluate(watch)
    return new ScreenWatch(workers)
  }

  /** The gaps since this was asked for last, when `least` pictures were seen. */
  async gaps(least: number): Promise<Gap[]> {
    await expect.poll(() => this.#look(), { timeout: 30_000 }).toBeGreaterThan(least)
    const pictures = this.#pictures
    this.#pictures = pictures.slice(-1)
    return pictures.slice(1).map(({ atMs, screen: to }, n) => {
      const before = pictures[n] as NewPicture
      return { ms: atMs - before.atMs, from: before.screen, to }
    })
  }

  /** The gaps since this was asked for last, until a machine drew `least` pictures behind the first at the other side. */
  async gapsAcross(least: number): Promise<Gap[]> {
    const gaps: Gap[] = []
    while (!gaps.some(({ from, to }) => from !== to)) gaps.push(...(await this.gaps(1)))
    gaps.push(...(await this.gaps(least)))
    return gaps
  }

  async #look(): Promise<number> {
    const found: NewPicture[] = []
    for (const [screen, worker] of this.#workers.entries()) {
      const drawn = await worker.evaluate(() => (globalThis as WatchedScope).drawn?.splice(0) ?? [])
      for (const [atMs, hash] of drawn) found.push({ atMs, hash, screen })
    }
    for (const picture of found.sort((a, b) => a.atMs - b.atMs))
      if (picture.hash !== this.#pictures.at(-1)?.hash) this.#pictures.push(picture)
    return this.#pictures.length
  }
}

/** Runs in a Worker. */
function watch(): void {
  const drawn: [atMs: number, hash: number][] = []
  const context = OffscreenCanvasRenderingContext2D.prototype
  const draw = Reflect.get(context, 'putImageData') as (...args: unknown[]) => void
  context.putImageData = function (image: ImageData, ...where: number[]): void {
    Reflect.apply(draw, this, [image, ...where])
    const atMs = performance.timeOrigin + performance.now()
    let hash = 0
    for (const pixel of new Int32Array(image.data.buffer))
      hash = Math.imul(hash ^ pixel, 0x01000193) ^ (hash >>> 15)
    drawn.push([atMs, hash])
  }
  Object.assign(globalThis, { drawn })
}
