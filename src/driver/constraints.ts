/**
 * What the values of a number field may be: ranges for the engine's checks, and whether a definition
 * makes sense. A device must be able to restore what it saves, so its power-on value must be allowed.
 *
 * @module
 */

import type { ScalarField } from './schema.ts'

type Value = number | bigint | boolean

/** A range of values, inclusive. */
interface ValueRange {
  readonly min: bigint
  readonly max: bigint
}

/** One check of the engine: refuses what lies outside of the range, or, for a gap of `oneOf`, inside. */
export interface ValueCheck extends ValueRange {
  readonly refuses: 'outside' | 'inside'
  readonly rule: 'range' | 'oneOf'
}

/** The checks that a scalar needs; none when its width says it all. */
export function valueChecks(scalar: ScalarField): ValueCheck[] {
  const checks: ValueCheck[] = []
  const range = valueRange(scalar)
  if (range !== undefined) checks.push({ ...range, refuses: 'outside', rule: 'range' })
  const allowed = [...new Set((scalar.options.oneOf ?? []).map((value) => BigInt(value)))]
  allowed.sort((a, b) => (a < b ? -1 : 1))
  const [min, max] = [allowed[0], allowed.at(-1)]
  if (min === undefined || max === undefined) return checks
  checks.push({ min, max, refuses: 'outside', rule: 'oneOf' })
  for (const [index, value] of allowed.entries()) {
    const next = allowed[index + 1] ?? value
    if (next - value > 1n) checks.push({ min: value + 1n, max: next - 1n, refuses: 'inside', rule: 'oneOf' })
  }
  return checks
}

/** The range a scalar may have, or undefined when its width says it all. */
function valueRange(scalar: ScalarField): ValueRange | undefined {
  const { min, max } = scalar.options
  if (scalar.type !== 'boolean' && min === undefined && max === undefined) return undefined
  const width = widthRange(scalar)
  return {
    min: min === undefined ? width.min : BigInt(min),
    max: max === undefined ? width.max : BigInt(max),
  }
}

/** What makes no sense about a scalar's options, in words, or undefined. */
export function constraintFault(scalar: ScalarField): string | undefined {
  const { min, max, oneOf, endian = 'little' } = scalar.options
  const initial: Value = scalar.options.default ?? 0
  const width = widthRange(scalar)
  const stray = [min, max, ...(oneOf ?? [])].find((value) => value !== undefined && !isWithin(value, width))
  if (stray !== undefined) return `${stray} is no value of the field, use ${width.min} to ${width.max}`
  if (endian !== 'little' && endian !== 'big') return `its endian is ${String(endian)}, use 'little' or 'big'`
  if (oneOf?.length === 0) return 'its oneOf is empty, name a value'
  if (!isWithin(initial, width))
    return `its default ${initial} does not fit, use ${width.min} to ${width.max}`
  const range = valueRange(scalar) ?? width
  if (range.min > range.max) return `its min ${min} is above its max ${max}, swap them`
  if (!isWithin(initial, range) || oneOf?.some((value) => BigInt(value) === BigInt(initial)) === false)
    return `its constraints do not allow ${initial}, the value it has at power-on, set a default that they allow`
  return undefined
}

function isWithin(value: Value, { min, max }: ValueRange): boolean {
  return (
    (typeof value !== 'number' || Number.isInteger(value)) && BigInt(value) >= min && BigInt(value) <= max
  )
}

function widthRange({ type, width }: ScalarField): ValueRange {
  if (type === 'boolean') return { min: 0n, max: 1n }
  const bits = BigInt(width * 8)
  if (type === 'unsigned') return { min: 0n, max: (1n << bits) - 1n }
  return { min: -(1n << (bits - 1n)), max: (1n << (bits - 1n)) - 1n }
}
