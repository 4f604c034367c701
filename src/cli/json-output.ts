/**
 * What `--json` prints: one object, for a machine.
 *
 * @module
 */

/** A report as JSON: bigints as decimal strings, bytes as hex, errors by their own twin. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, item: unknown) =>
      typeof item === 'bigint'
        ? item.toString()
        : item instanceof Uint8Array
          ? Array.from(item, (byte) => byte.toString(16).padStart(2, '0')).join('')
          : item,
    2,
  )
}
