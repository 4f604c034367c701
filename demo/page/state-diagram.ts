/**
 * The migration state machine as a picture: where both machines are, and how long each arc took last.
 *
 * @module
 */

import { arcs, DeviceState } from 'stopcopy'
import type { SideName } from './side.ts'

const SVG = 'http://www.w3.org/2000/svg'
const WIDTH = 300
const HEIGHT = 248
const BOX_WIDTH = 106
const BOX_HEIGHT = 26
/** Time for which a state that was only passed is lit. */
const DWELL_MS = 90

const PLACES: Readonly<Record<number, readonly [x: number, y: number]>> = {
  [DeviceState.RUNNING]: [72, 20],
  [DeviceState.PRE_COPY]: [228, 20],
  [DeviceState.RUNNING_P2P]: [72, 89],
  [DeviceState.PRE_COPY_P2P]: [228, 89],
  [DeviceState.STOP]: [72, 158],
  [DeviceState.STOP_COPY]: [228, 158],
  [DeviceState.RESUMING]: [72, 227],
  [DeviceState.ERROR]: [228, 227],
}

/** The diagram; `show` walks it. */
export class StateDiagram {
  readonly #boxes = new Map<number, SVGGElement>()
  readonly #lines = new Map<string, { line: SVGLineElement; label: SVGTextElement }>()
  readonly #queues: Record<SideName, (() => void)[]> = { left: [], right: [] }
  readonly #timers: Record<SideName, number | undefined> = { left: undefined, right: undefined }
  readonly #isCalm: boolean = matchMedia('(prefers-reduced-motion: reduce)').matches

  constructor(parent: HTMLElement) {
    const svg = node('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', class: 'diagram' })
    svg.append(node('title', {}, 'States of the two machines, and the milliseconds of each arc'))
    const defs = node('defs', {})
    for (const name of ['plain', 'left', 'right']) {
      const marker = node('marker', {
        id: `tip-${name}`,
        viewBox: '0 0 6 6',
        refX: '5',
        refY: '3',
        markerWidth: '6',
        markerHeight: '6',
        orient: 'auto',
      })
      marker.append(node('path', { d: 'M0 0L6 3L0 6z', class: `tip ${name}` }))
      defs.append(marker)
    }
    svg.append(defs)
    for (const { from, to } of arcs(7)) svg.append(this.#line(from, to))
    for (const [name, state] of Object.entries(DeviceState)) svg.append(this.#box(name, state))
    parent.append(svg)
  }

  /** A machine went along an arc. */
  walk(side: SideName, from: DeviceState, to: DeviceState, ms: number): void {
    this.#then(side, () => {
      const { line, label } = this.#lines.get(`${from}-${to}`) ?? {}
      line?.setAttribute('data-side', side)
      line?.setAttribute('marker-end', `url(#tip-${side})`)
      label?.setAttribute('data-side', side)
      if (label !== undefined) label.textContent = ms < 0.05 ? '<0.1 ms' : `${ms.toFixed(1)} ms`
      this.#light(side, to)
    })
  }

  /** A machine is in a state, or nowhere. */
  place(side: SideName, state: DeviceState | undefined): void {
    this.#then(side, () => this.#light(side, state))
  }

  #light(side: SideName, state: DeviceState | undefined): void {
    for (const [place, box] of this.#boxes) box.toggleAttribute(`data-${side}`, place === state)
  }

  /** One after the other, so that what takes microseconds is seen. */
  #then(side: SideName, step: () => void): void {
    if (this.#isCalm || document.hidden) return step()
    const queue = this.#queues[side]
    queue.push(step)
    if (this.#timers[side] !== undefined) return
    const next = (): void => {
      queue.shift()?.()
      this.#timers[side] = queue.length > 0 ? window.setTimeout(next, DWELL_MS) : undefined
    }
    next()
  }

  #box(name: string, state: DeviceState): SVGGElement {
    const [x, y] = PLACES[state] as readonly [number, number]
    const box = node('g', { class: `state${name === 'ERROR' ? ' error' : ''}`, 'data-state': name })
    const [left, top] = [x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2]
    const size = { x: `${left}`, y: `${top}`, width: `${BOX_WIDTH}`, height: `${BOX_HEIGHT}`, rx: '13' }
    box.append(
      node('rect', size),
      node('circle', { class: 'left', cx: `${left + 12}`, cy: `${y}`, r: '4' }),
      node('circle', { class: 'right', cx: `${left + BOX_WIDTH - 12}`, cy: `${y}`, r: '4' }),
      node('text', { x: `${x}`, y: `${y + 3}`, 'text-anchor': 'middle' }, name),
    )
    this.#boxes.set(state, box)
    return box
  }

  #line(from: DeviceState, to: DeviceState): SVGGElement {
    const [x1, y1] = PLACES[from] as readonly [number, number]
    const [x2, y2] = PLACES[to] as readonly [number, number]
    const [dx, dy] = [Math.sign(x2 - x1), Math.sign(y2 - y1)]
    const isFlat = dy === 0
    // Both directions beside each other, each on its right-hand side.
    const [ox, oy] = [-dy * 5, dx * 5]
    const [gapX, gapY] = [dx * (BOX_WIDTH / 2 + 3), dy * (BOX_HEIGHT / 2 + 3)]
    const ends = { x1: x1 + gapX + ox, y1: y1 + gapY + oy, x2: x2 - gapX + ox, y2: y2 - gapY + oy }
    const line = node('line', {
      ...Object.fromEntries(Object.entries(ends).map(([key, value]) => [key, `${value}`])),
      'marker-end': 'url(#tip-plain)',
    })
    const [x, y] = [(ends.x1 + ends.x2) / 2, (ends.y1 + ends.y2) / 2]
    const place = isFlat
      ? { x: `${x}`, y: `${y + (dx > 0 ? 11 : -5)}`, 'text-anchor': 'middle' }
      : { x: `${x - dy * 5}`, y: `${y + 3}`, 'text-anchor': dy > 0 ? 'end' : 'start' }
    const label = node('text', { ...place, class: 'ms' })
    this.#lines.set(`${from}-${to}`, { line, label })
    const group = node('g', { class: 'arc' })
    group.append(line, label)
    return group
  }
}

function node<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string>>,
  text = '',
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.textContent = text
  return made
}
