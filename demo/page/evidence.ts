/**
 * What a hand-over left to be compared, and what the last stream held.
 *
 * @module
 */

import type { StreamReport } from 'stopcopy'
import type { Moment } from '../worker/messages.ts'
import { element, formatBytes, formatMs, make } from './format.ts'

/** Most sections that are listed. */
const LISTED = 200

/** Shows both ends of a hand-over: the source when it had stopped, the destination before it ran. */
export function showProof(stopped: Moment, started: Moment | undefined): void {
  const place = element('proof')
  const figures = [figureOf('stopped', stopped)]
  if (started !== undefined) figures.push(figureOf('started', started))
  place.replaceChildren(...figures)
  const isSame = started !== undefined && started.ticks === stopped.ticks && started.digest === stopped.digest
  const isCompared = stopped.digest !== ''
  place.dataset['same'] = String(isSame && isCompared)
  const note = element('proof-note')
  if (started === undefined) note.textContent = 'the other end is not on this page'
  else {
    const freezeMs = started.pictureAtMs - stopped.pictureAtMs
    place.dataset['freezeMs'] = freezeMs.toFixed(2)
    const words = isCompared ? 'equal, bit for bit' : 'the same tick, memory not compared'
    note.textContent = `${isSame ? words : 'DIFFERENT'} · no new picture for ${formatMs(freezeMs)}`
  }
}

/** One end alone: of a machine that came from elsewhere. */
export function showArrival(started: Moment): void {
  const place = element('proof')
  place.replaceChildren(figureOf('started', started))
  delete place.dataset['same']
  element('proof-note').textContent = 'the other end is not on this page'
}

function figureOf(end: 'stopped' | 'started', { ticks, digest, picture }: Moment): HTMLElement {
  const canvas = make('canvas', { width: `${picture?.width ?? 16}`, height: `${picture?.height ?? 9}` })
  canvas.setAttribute('role', 'img')
  canvas.setAttribute('aria-label', `Picture when it had ${end}`)
  if (picture !== undefined) canvas.getContext('2d')?.drawImage(picture, 0, 0)
  const words = end === 'stopped' ? 'stopped at tick' : 'starts at tick'
  const short = digest === '' ? 'not compared' : `${digest.slice(0, 12)}…`
  const caption = make(
    'figcaption',
    {},
    `${words} ${ticks.toLocaleString('en')}`,
    make('code', { title: digest }, short),
  )
  const figure = make('figure', { class: end }, canvas, caption)
  figure.dataset['ticks'] = String(ticks)
  figure.dataset['digest'] = digest
  return figure
}

/** Lists what a stream held. */
export function showStream(report: StreamReport | undefined): void {
  const place = element('stream')
  const note = element('stream-note')
  if (report === undefined) {
    place.replaceChildren()
    note.textContent = 'not kept'
    return
  }
  const { bytes, header, sections, sectionCount, tags } = report
  note.textContent = `${formatBytes(bytes)}, ${sectionCount} sections, ${header.deviceType} v${header.deviceVersion}`
  const most = Math.max(...Object.values(tags).map(({ payloadBytes }) => payloadBytes), 1)
  const totals = Object.entries(tags).map(([tag, { sections: count, payloadBytes }]) => {
    const bar = make('i', { style: `--part:${payloadBytes / most}` })
    return make(
      'tr',
      {},
      make('th', {}, tag),
      make('td', {}, `${count}×`),
      make('td', {}, formatBytes(payloadBytes)),
      make('td', {}, bar),
    )
  })
  const rows = sections.slice(0, LISTED).map(({ sequence, tag, offset, payloadBytes, first, pageCount }) => {
    const where = pageCount === undefined ? '' : `pages ${first} to ${(first ?? 0) + pageCount - 1}`
    const cells = [`${sequence}`, tag, formatBytes(payloadBytes), where, `at ${offset.toLocaleString('en')}`]
    return make('tr', {}, ...cells.map((text) => make('td', {}, text)))
  })
  const hidden = sectionCount - rows.length
  const more = hidden > 0 ? [make('p', { class: 'quiet' }, `and ${hidden} more`)] : []
  place.replaceChildren(
    make('table', { class: 'totals' }, ...totals),
    make('table', { class: 'list' }, ...rows),
    ...more,
  )
}
