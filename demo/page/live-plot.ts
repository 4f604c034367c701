/**
 * A migration while it happens: what remains, what is dirtied, how fast the bytes go, and the downtime.
 *
 * @module
 */

import type { MigrateProgress, MigrateReport } from 'stopcopy'
import uPlot from 'uplot'
import { formatMs } from './format.ts'

const HEIGHT = 190
const MEGA = 1e6
/** Its enum is one of types alone. */
// oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the same number
const RIGHT_SIDE: uPlot.Axis.Side = 1

/** Redraws at most once a picture of the page. */
export class LivePlot {
  readonly #parent: HTMLElement
  readonly #note: HTMLElement
  readonly #isDark: MediaQueryList = matchMedia('(prefers-color-scheme: dark)')
  #columns: [number[], (number | null)[], (number | null)[], (number | null)[]] = [[], [], [], []]
  /** When the machine was stopped, and when it ran again, in seconds. */
  #downtime: readonly [number, number] | undefined
  #stoppedAt: number | undefined
  #plot: uPlot | undefined
  #isDue = false

  constructor(parent: HTMLElement, note: HTMLElement) {
    this.#parent = parent
    this.#note = note
    this.#build()
    this.#isDark.addEventListener('change', () => this.#build())
    new ResizeObserver(() => this.#plot?.setSize({ width: parent.clientWidth, height: HEIGHT })).observe(
      parent,
    )
  }

  /** A new migration begins. */
  begin(): void {
    this.#columns = [[], [], [], []]
    this.#downtime = undefined
    this.#stoppedAt = undefined
    this.#note.textContent = ''
    this.#draw()
  }

  add(progress: MigrateProgress): void {
    const { phase, elapsedMs, remainingBytes, dirtyBytesPerSecond, bytesPerSecond } = progress
    const [seconds, remaining, dirty, throughput] = this.#columns
    if (phase === 'stop') this.#stoppedAt ??= elapsedMs / 1000
    const isSent = phase === 'load' || phase === 'commit' || phase === 'done'
    seconds.push(elapsedMs / 1000)
    remaining.push(isSent ? 0 : mega(remainingBytes))
    dirty.push(phase === 'precopy' ? mega(dirtyBytesPerSecond) : null)
    throughput.push(isSent ? null : mega(bytesPerSecond))
    this.#note.textContent = phase === 'precopy' ? `pass ${progress.iteration}` : phase
    this.#draw()
  }

  end({ downtimeMs, downtimeBoundBy, iterations, switchover }: MigrateReport): void {
    const from = this.#stoppedAt
    if (downtimeMs !== undefined && from !== undefined) this.#downtime = [from, from + downtimeMs / 1000]
    const passes = `${iterations.length} ${iterations.length === 1 ? 'pass' : 'passes'}`
    this.#note.textContent = `${passes}, ${switchover ?? 'over'}, down for ${formatMs(downtimeMs ?? 0)}, most of it ${downtimeBoundBy ?? 'nothing'}`
    this.#draw()
  }

  #draw(): void {
    if (this.#isDue) return
    this.#isDue = true
    requestAnimationFrame(() => {
      this.#isDue = false
      this.#plot?.setData(this.#columns)
    })
  }

  #build(): void {
    this.#plot?.destroy()
    const style = getComputedStyle(this.#parent)
    const colour = (name: string): string => style.getPropertyValue(name).trim()
    const axis = {
      stroke: colour('--quiet'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui',
      size: 38,
    }
    const line = (label: string, name: string, scale: string): uPlot.Series => ({
      label,
      scale,
      stroke: colour(name),
      width: 1.75,
      points: { show: false },
      spanGaps: true,
    })
    this.#plot = new uPlot(
      {
        width: Math.max(200, this.#parent.clientWidth),
        height: HEIGHT,
        scales: { x: { time: false }, mega: { range: fromZero }, rate: { range: fromZero } },
        axes: [
          { ...axis, size: 26, values: (_, ticks) => ticks.map((value) => `${value} s`) },
          { ...axis, scale: 'mega' },
          { ...axis, scale: 'rate', side: RIGHT_SIDE, grid: { show: false } },
        ],
        series: [
          {},
          { ...line('remaining, MB', '--left', 'mega'), fill: colour('--left-wash') },
          line('dirtied, MB/s', '--warn', 'rate'),
          line('sent, MB/s', '--good', 'rate'),
        ],
        legend: { live: false },
        hooks: { drawClear: [(plot) => this.#shade(plot, colour('--down'))] },
      },
      this.#columns,
      this.#parent,
    )
  }

  /** The downtime, at least two pixels of it. */
  #shade(plot: uPlot, colour: string): void {
    if (this.#downtime === undefined) return
    const [from, to] = this.#downtime.map((at) => plot.valToPos(at, 'x', true)) as [number, number]
    const { ctx, bbox } = plot
    ctx.fillStyle = colour
    ctx.fillRect(from, bbox.top, Math.max(2, to - from), bbox.height)
  }
}

function mega(value: number | undefined): number | null {
  return value === undefined ? null : value / MEGA
}

function fromZero(_: uPlot, _least: number, most: number | null): [number, number] {
  return [0, Math.max(0.1, (most ?? 0) * 1.1)]
}
