/**
 * The monitor as a -bios image, so that the tests need no assembler: monitor.S says what the bytes are, and a test
 * that they are what comes of it, where there is one.
 *
 * @module
 */

/** A -bios image is mapped to end at 4 GiB. */
const IMAGE_BYTES = 65_536
/** Where the processor begins. */
const RESET_VECTOR = 0xfff0
/** A jump to the image's first byte. */
const JUMP = 'e90d00'
const CODE =
  'fafc2e660f011688010f20c00c010f22c066ea1900ffff080066b810008ed88ec08ed0bc00700000b852454459a31060' +
  '0000be10600000b904000000e81a010000bf00600000b90a000000e8f7000000a0006000008a25016000008b1d026000' +
  '008b0d0660000089da3c6974333c6f744e3c72745d3c77747b3c520f848c0000003c570f84900000003c460f84910000' +
  '003c530f8491000000b8d0bad0baeb8d80fc02b8000000007708740cece97bffffffede975ffffff66ede96effffff80' +
  'fc0289c877057406eeeb3befeb3866efeb3480fc02b8000000007709740e8a03e948ffffff8b03e941ffffff668b03e9' +
  '39ffffff80fc0277067408880beb07890beb0366890b31c0e920ffffff89dee847000000e928ffffff89dfe827000000' +
  'ebe489df88e0f3aaebdcb8c59d1c8185c90f84f6feffff320369c09301000143e2f5e9e6feffffe31166bafd03eca801' +
  '74fb66baf803ecaae2efc3e31166bafd03eca82074fb66baf803aceee2efc3900000000000000000ffff0000009bcf00' +
  'ffff00000093cf0017007001ffff'

/** The image. */
export function monitorImage(): Uint8Array {
  const image = new Uint8Array(IMAGE_BYTES)
  image.set(Buffer.from(CODE, 'hex'))
  image.set(Buffer.from(JUMP, 'hex'), RESET_VECTOR)
  return image
}
