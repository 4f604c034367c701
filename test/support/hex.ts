/** Bytes from hex digits and spaces, and back. @module */

export function bytes(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '')
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

export function hex(array: Uint8Array): string {
  return Array.from(array, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}
