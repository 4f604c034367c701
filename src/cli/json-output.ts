/**
 * What `--json` prints, for a machine: one object, or one a line.
 *
 * @module
 */

/** A report as JSON: bigints as decimal strings, bytes as hex, errors by their own twin. */
export function toJson(value: unknown, indent = 2): string {
  return JSON.stringify(
    value,
    (_key, item: unknown) =>
      typeof item === 'bigint'
        ? item.toString()
        : item instanceof Uint8Array
          ? Array.from(item, (byte) => byte.toString(16).padStart(2, '0')).join('')
          : item,
    indent,
  )
}
