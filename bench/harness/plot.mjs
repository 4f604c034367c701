/**
 * Throughput by size as an SVG, one panel for each job.
 *
 * By hand: the plot libraries that draw without a browser bring 3 packages and some 50 MB (echarts), over
 * 30 packages (vega) or need a DOM (Observable Plot, Chartist), for what are three pairs of axes and a line
 * for each case.
 *
 * @module
 */
import { panels, reference } from '../groups/throughput.mjs'
import { spread } from './statistics.mjs'

const PANEL = { width: 312, height: 340, gap: 8 }
const PLOT = { left: 40, right: 300, top: 34, bottom: 210 }
/** GB/s at the bottom and the top of the logarithmic axis. */
const RANGE = [0.25, 128]
/** Ours, then the rivals; the reference is grey. Told apart without red and green. */
const COLOURS = ['#0072b2', '#d55e00', '#cc79a7', '#e69f00', '#56b4e9']
const GREY = '#888'

/**
 * @param {{ cases: { name: string, bytes: number, seconds?: number[] }[] }} group the group throughput
 * @param {string} caption
 * @returns {string}
 */
export function plotThroughput(group, caption) {
  const [width, height] = [panels.length * (PANEL.width + PANEL.gap), PANEL.height + 24]
  const body = panels.map((panel, index) => {
    const place = `translate(${index * (PANEL.width + PANEL.gap)} 0)`
    return `<g transform="${place}">${drawPanel(panel, group.cases)}</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="${width}" height="${height}" fill="#fff"/>
${body.join('\n')}
<text x="${PLOT.left}" y="${height - 10}" fill="#555">${escape(caption)}</text>
</svg>
`
}

function drawPanel({ title, ways }, cases) {
  const [mine, ...others] = ways
  const copies = series(cases, reference)
  const lines = [
    { way: reference, points: copies, colour: GREY, dash: ' stroke-dasharray="4 3"' },
    ...others.map((way, index) => ({
      way,
      points: series(cases, way),
      colour: COLOURS[index + 1],
      dash: '',
    })),
    { way: mine, points: series(cases, mine), colour: COLOURS[0], dash: ' stroke-width="2.5"' },
  ]
  const sizes = copies.map(({ bytes }) => bytes)
  const drawn = lines.map(({ points, colour, dash }) => {
    const path = points.map((point) => `${x(point.bytes, sizes)},${y(point.rate)}`).join(' ')
    return `<polyline points="${path}" fill="none" stroke="${colour}"${dash}/>`
  })
  const legend = lines.toReversed().map(({ way, colour }, index) => {
    const [at, line] = [PLOT.left, PLOT.bottom + 36 + index * 15]
    const name = way === mine ? `stopcopy ${way}` : way
    return `<rect x="${at}" y="${line - 8}" width="10" height="4" fill="${colour}"/><text x="${at + 15}" y="${line}">${escape(name)}</text>`
  })
  return [
    `<text x="${PLOT.left}" y="16" font-size="13" font-weight="bold">${title}</text>`,
    `<text x="${PLOT.right}" y="16" text-anchor="end" fill="#555">GB/s; × Buffer.copy</text>`,
    axes(sizes),
    ...drawn,
    marks(series(cases, mine), copies, sizes),
    ...legend,
  ].join('\n')
}

function axes(sizes) {
  const rates = Array.from({ length: Math.log2(RANGE[1] / RANGE[0]) + 1 }, (_, step) => RANGE[0] * 2 ** step)
  const rows = rates.map((rate, step) => {
    const label =
      step % 2 === 0 ? `<text x="${PLOT.left - 5}" y="${y(rate) + 4}" text-anchor="end">${rate}</text>` : ''
    return `<path d="M${PLOT.left} ${y(rate)}H${PLOT.right}" stroke="#e4e4e4"/>${label}`
  })
  const columns = sizes.map((bytes, step) => {
    const label = bytes >= 2 ** 20 ? `${bytes / 2 ** 20}M` : `${bytes / 2 ** 10}K`
    return step % 2 === 0
      ? `<text x="${x(bytes, sizes)}" y="${PLOT.bottom + 14}" text-anchor="middle">${label}</text>`
      : ''
  })
  return [...rows, ...columns].join('')
}

/** Points of our own line, each with its ratio to Buffer.copy of the same size. */
function marks(mine, copies, sizes) {
  return mine
    .map(({ bytes, rate }) => {
      const ratio = rate / copies.find((copy) => copy.bytes === bytes).rate
      const at = x(bytes, sizes)
      return `<circle cx="${at}" cy="${y(rate)}" r="3" fill="${COLOURS[0]}"/><text x="${at}" y="${y(rate) + 15}" text-anchor="middle" fill="${COLOURS[0]}" font-size="9" paint-order="stroke" stroke="#fff" stroke-width="2.5">${ratio.toFixed(2)}</text>`
    })
    .join('')
}

/** The sizes of a case and its median rate in GB/s. */
function series(cases, way) {
  return cases
    .filter(({ name, seconds }) => seconds !== undefined && name.slice(0, name.lastIndexOf(', ')) === way)
    .map(({ bytes, seconds }) => ({ bytes, rate: bytes / spread(seconds).median / 1e9 }))
}

function x(bytes, sizes) {
  const share = Math.log2(bytes / sizes[0]) / Math.max(1, Math.log2(sizes.at(-1) / sizes[0]))
  return Math.round(PLOT.left + 8 + share * (PLOT.right - PLOT.left - 16))
}

function y(rate) {
  const share =
    Math.log2(Math.min(RANGE[1], Math.max(RANGE[0], rate)) / RANGE[0]) / Math.log2(RANGE[1] / RANGE[0])
  return Math.round((PLOT.bottom - share * (PLOT.bottom - PLOT.top)) * 10) / 10
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
