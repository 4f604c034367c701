/**
 * Times as people type them.
 *
 * @module
 */

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, min: 60_000, h: 3_600_000 }

/**
 * Milliseconds of `50ms`, `2s`, `1.5min` or `0`; the case of the unit does not matter.
 *
 * @throws RangeError when the text is no time, or one without a unit that is not 0
 */
export function parseDuration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)$/i.exec(text.trim())
  const refuse = (reason: string): never => {
    throw new RangeError(`Cannot read time "${text}": ${reason}, use one such as 50ms, 2s or 1.5min`)
  }
  if (match === null) return refuse('it is no time')
  const [, amount = '', unit = ''] = match
  const value = Number(amount)
  if (unit === '') return value === 0 ? 0 : refuse('it has no unit')
  const scale = UNITS[unit.toLowerCase()]
  return scale === undefined ? refuse(`there is no unit "${unit}"`) : value * scale
}
