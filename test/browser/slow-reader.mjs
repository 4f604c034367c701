/** A destination's end of a connection that stops reading for a while, and reads slowly for the rest. */

const PIECE_BYTES = 128 * 1024

/** A duplex that reads as fast as it comes until `holdAfterBytes`, then not before `goOn`, then with pauses. */
export class SlowReader {
  takenBytes = 0
  isHeld = false
  goOn
  #duplex
  #holdAfterBytes
  #going

  constructor(duplex, holdAfterBytes) {
    this.#duplex = duplex
    this.#holdAfterBytes = holdAfterBytes
    this.#going = new Promise((resolve) => {
      this.goOn = resolve
    })
  }

  open() {
    return this.#duplex.open?.()
  }
  write(chunks) {
    return this.#duplex.write(chunks)
  }
  close() {
    return this.#duplex.close()
  }
  abort(reason) {
    return this.#duplex.abort(reason)
  }
  cancel(reason) {
    this.goOn()
    return this.#duplex.cancel(reason)
  }

  async read(dst) {
    await this.#turn()
    const byteLength = await this.#duplex.read(dst.subarray(0, PIECE_BYTES))
    this.takenBytes += byteLength
    return byteLength
  }

  async lease(maxBytes) {
    await this.#turn()
    const bytes = await this.#duplex.lease(Math.min(maxBytes, PIECE_BYTES))
    this.takenBytes += bytes.length
    return bytes
  }

  release() {
    this.#duplex.release()
  }

  async #turn() {
    if (this.takenBytes < this.#holdAfterBytes) return
    if (!this.isHeld) {
      this.isHeld = true
      await this.#going
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}
