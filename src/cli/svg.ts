/**
 * The few pieces of SVG that a plot needs. By hand: what draws without a browser brings tens of megabytes.
 *
 * @module
 */

/** Where values go: from a range of values to a range of pixels. */
export type Scale = (value: number) => number

/** A point in pixels. */
export type Point = readonly [x: number, y: number]

/** A linear scale. */
export function linear(values: readonly [number, number], pixels: readonly [number, number]): Scale {
  const [first, last] = values
  const [from, to] = pixels
  return (value) => from + ((value - first) / (last - first || 1)) * (to - from)
}

/** A logarithmic scale; what is below its range lies at its end. */
export function logarithmic(values: readonly [number, number], pixels: readonly [number, number]): Scale {
  const [first, last] = values
  const scale = linear([Math.log2(first), Math.log2(last)], pixels)
  return (value) => scale(Math.log2(Math.min(last, Math.max(first, value))))
}

/** Round steps of 1, 2 or 5 times a power of ten, at most `count` of them, from 0 to `most`. */
export function roundSteps(most: number, count: number): number[] {
  const least = most / count
  const power = 10 ** Math.floor(Math.log10(least || 1))
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= least) ?? least
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step)
}

/** Text at a place, with its classes. */
export function text(x: number, y: number, content: string, classes: string, anchor = 'start'): string {
  return `<text x="${px(x)}" y="${px(y)}" class="${classes}" text-anchor="${anchor}">${escapeText(content)}</text>`
}

/** A line through points. */
export function polyline(points: readonly Point[], classes: string): string {
  return `<polyline points="${list(points)}" class="${classes}"/>`
}

/** The area between points and a height below them. */
export function area(points: readonly Point[], bottom: number, classes: string): string {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined) return ''
  return `<polygon points="${list([[first[0], bottom], ...points, [last[0], bottom]])}" class="${classes}"/>`
}

/** A rectangle between two corners. */
export function rectangle([left, top]: Point, [right, bottom]: Point, classes: string): string {
  const size = `width="${px(Math.max(0, right - left))}" height="${px(Math.max(0, bottom - top))}"`
  return `<rect x="${px(left)}" y="${px(top)}" ${size} class="${classes}"/>`
}

/** A straight line. */
export function line([x1, y1]: Point, [x2, y2]: Point, classes: string): string {
  return `<path d="M${px(x1)} ${px(y1)}L${px(x2)} ${px(y2)}" class="${classes}"/>`
}

/** A tenth of a pixel is enough. */
function px(value: number): number {
  return Math.round(value * 10) / 10
}

function list(points: readonly Point[]): string {
  return points.map(([x, y]) => `${px(x)},${px(y)}`).join(' ')
}

/** Text that may stand between tags. */
export function escapeText(content: string): string {
  return content
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[^\t\n\u0020-\ud7ff\ue000-\ufffd]/g, '?')
}
