/**
 * What `--json` prints, for a machine: one object, or one a line.
 *
 * @module
 */

import { plainJson } from './plain-line.ts'

/** A report as JSON: bigints as decimal strings, bytes as hex, errors by their own twin. */
export function toJson(value: unknown, indent = 2): string {
  const json = JSON.stringify(
    value,
    (_key, item: unknown) =>
      typeof item === 'bigint' ? item.toString() : item instanceof Uint8Array ? toHex(item) : item,
    indent,
  )
  return plainJson(json)
}

/** Two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
