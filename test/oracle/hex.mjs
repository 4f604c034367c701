/** Bytes as hex digits, and back. @module */

export const toHex = (bytes) => Buffer.from(bytes).toString('hex')
export const fromHex = (text) => new Uint8Array(Buffer.from(text, 'hex'))
