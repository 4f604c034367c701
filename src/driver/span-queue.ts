/**
 * The pieces of a stream between the section that was cut and the reader that takes them: read out,
 * or leased in order.
 *
 * @module
 */

/** Bytes of the stream, and the frame that must stay untouched until they are given back. */
interface Span {
  readonly bytes: Uint8Array
  readonly frame: number | undefined
  taken: number
  leases: number
}

/** Spans in stream order. */
export class SpanQueue {
  readonly #spans: Span[] = []
  readonly #leased: Span[] = []
  readonly #onFrameFree: (frame: number) => void

  /** @param onFrameFree called when all of a frame's bytes were taken and none is leased out */
  constructor(onFrameFree: (frame: number) => void) {
    this.#onFrameFree = onFrameFree
  }

  get empty(): boolean {
    return this.#spans.length === 0
  }

  /** Bytes that wait to be taken. */
  get byteLength(): number {
    return this.#spans.reduce((total, span) => total + span.bytes.length - span.taken, 0)
  }

  /** Whether a lease is out. */
  get leased(): boolean {
    return this.#leased.length > 0
  }

  push(bytes: Uint8Array, frame?: number): void {
    this.#spans.push({ bytes, frame, taken: 0, leases: 0 })
  }

  /** Copies bytes of the first span to `dst` from `offset`; the number of bytes. */
  read(dst: Uint8Array, offset: number): number {
    const [span] = this.#spans
    if (span === undefined) return 0
    const bytes = span.bytes.subarray(span.taken, span.taken + dst.length - offset)
    dst.set(bytes, offset)
    this.#take(span, bytes.length)
    return bytes.length
  }

  /** At most `maxBytes` of the first span, out until {@link release}; empty when there is none. */
  lease(maxBytes: number): Uint8Array {
    const [span] = this.#spans
    if (span === undefined) return new Uint8Array(0)
    // A view costs more than the rest of a lease: mostly the span's own will do.
    const whole = span.taken === 0 && span.bytes.length <= maxBytes
    const bytes = whole ? span.bytes : span.bytes.subarray(span.taken, span.taken + maxBytes)
    span.leases++
    this.#leased.push(span)
    this.#take(span, bytes.length)
    return bytes
  }

  /** Gives back the oldest lease. */
  release(): void {
    const span = this.#leased.shift()
    if (span === undefined) return
    span.leases--
    this.#settle(span)
  }

  /** Forgets what was not taken. */
  drop(): void {
    this.#spans.length = 0
  }

  #take(span: Span, byteLength: number): void {
    span.taken += byteLength
    if (span.taken < span.bytes.length) return
    this.#spans.shift()
    this.#settle(span)
  }

  #settle(span: Span): void {
    if (span.frame === undefined || span.leases > 0 || span.taken < span.bytes.length) return
    this.#onFrameFree(span.frame)
  }
}
