/**
 * Registers as bytes, of which software can write some bits: configuration space, an MSI-X table.
 *
 * @module
 */

/** Bytes, little endian; everything that was not defined reads zero and cannot be written. */
export class RegisterFile {
  readonly byteLength: number
  readonly #bytes: Uint8Array
  readonly #initial: Uint8Array
  readonly #writable: Uint8Array
  readonly #view: DataView

  constructor(byteLength: number) {
    this.byteLength = byteLength
    this.#bytes = new Uint8Array(byteLength)
    this.#initial = new Uint8Array(byteLength)
    this.#writable = new Uint8Array(byteLength)
    this.#view = new DataView(this.#bytes.buffer)
  }

  /**
   * Defines a register.
   *
   * @param initial - what it holds at first and after {@link reset}
   * @param writable - the bits that {@link write} changes
   */
  define(offset: number, byteLength: 1 | 2 | 4, initial: number, writable = 0): void {
    for (let i = 0; i < byteLength; i++) {
      this.#bytes[offset + i] = this.#initial[offset + i] = initial >>> (8 * i)
      this.#writable[offset + i] = writable >>> (8 * i)
    }
  }

  /** Fills `dst`; the caller has checked the bounds. */
  read(offset: number, dst: Uint8Array): void {
    dst.set(this.#bytes.subarray(offset, offset + dst.length))
  }

  /** Stores the writable bits of `src`; the caller has checked the bounds. */
  write(offset: number, src: Uint8Array): void {
    for (const [i, value] of src.entries()) {
      const at = offset + i
      const writable = this.#writable[at] as number
      this.#bytes[at] = ((this.#bytes[at] as number) & ~writable) | (value & writable)
    }
  }

  /** The register of 16 bits at `offset`. */
  u16(offset: number): number {
    return this.#view.getUint16(offset, true)
  }

  /** The register of 32 bits at `offset`. */
  u32(offset: number): number {
    return this.#view.getUint32(offset, true)
  }

  /** The device's own side: sets bits of the 16 at `offset`, writable or not. */
  put(offset: number, mask: number, value: number): void {
    this.#view.setUint16(offset, (this.u16(offset) & ~mask) | (value & mask), true)
  }

  /** Every register as it was defined. */
  reset(): void {
    this.#bytes.set(this.#initial)
  }
}
