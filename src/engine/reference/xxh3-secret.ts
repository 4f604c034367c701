/**
 * XXH3's secret of 192 bytes.
 *
 * @module
 */

const SECRET_HEX: string =
  'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f' +
  'cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c' +
  '3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' +
  'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364' +
  'eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e' +
  '2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e'

/** Bytes of a secret. */
export const SECRET_BYTES = 192

/** The secret of seed 0. */
export const DEFAULT_SECRET: DataView = decodeHex(SECRET_HEX)

/** The long form's secret for `seed`: every first word of a pair plus the seed, every second minus it. */
export function seededSecret(seed: bigint): DataView {
  if (seed === 0n) return DEFAULT_SECRET
  const seeded = new DataView(new ArrayBuffer(SECRET_BYTES))
  storeSecret(seeded, 0, seed)
  return seeded
}

/** Stores the secret for `seed` at `at`. */
export function storeSecret(view: DataView, at: number, seed: bigint): void {
  for (let i = 0; i < SECRET_BYTES; i += 16) {
    view.setBigUint64(at + i, word(DEFAULT_SECRET, i) + seed, true)
    view.setBigUint64(at + i + 8, word(DEFAULT_SECRET, i + 8) - seed, true)
  }
}

/** The 64-bit little-endian word at `at`. */
export function word(view: DataView, at: number): bigint {
  return view.getBigUint64(at, true)
}

function decodeHex(hex: string): DataView {
  const bytes = new Uint8Array(hex.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return new DataView(bytes.buffer)
}
