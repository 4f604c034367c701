/** Sinks and sources that record what happens to them and fail where they are told. @module */

import type { ByteSink, ByteSource } from '../../../src/transport/byte-stream.ts'

/** Keeps what it is given. */
export class RecordingSink implements ByteSink {
  readonly pieces: Uint8Array[] = []
  readonly aborts: unknown[] = []
  closes = 0
  /** Runs before each call; throw to fail it. */
  onCall: (call: 'open' | 'write' | 'close') => void | Promise<void> = () => {}

  async open(): Promise<void> {
    await this.onCall('open')
  }

  async write(chunks: Uint8Array[]): Promise<void> {
    await this.onCall('write')
    for (const chunk of chunks) this.pieces.push(new Uint8Array(chunk))
  }

  async close(): Promise<void> {
    await this.onCall('close')
    this.closes++
  }

  abort(reason: unknown): void {
    this.aborts.push(reason)
  }

  get bytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.pieces))
  }
}

/** Gives `bytes`, at most `most` at a time. */
export class RecordingSource implements ByteSource {
  readonly cancels: unknown[] = []
  /** Runs before each read; throw to fail it. */
  onRead: () => void | Promise<void> = () => {}
  #bytes: Uint8Array
  readonly #most: number

  constructor(bytes: Uint8Array, most = Infinity) {
    this.#bytes = bytes
    this.#most = most
  }

  async read(dst: Uint8Array): Promise<number> {
    await this.onRead()
    const part = this.#bytes.subarray(0, Math.min(dst.length, this.#most))
    dst.set(part)
    this.#bytes = this.#bytes.subarray(part.length)
    return part.length
  }

  cancel(reason: unknown): void {
    this.cancels.push(reason)
  }
}
