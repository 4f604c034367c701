/**
 * The resuming side of an mtty session: collects a whole stream; the device loads it at
 * RESUMING to STOP.
 *
 * The header is compared once, by the write that completes it. The profiles differ in what a
 * refusal leaves behind:
 *
 * | | strict | exact (facts B.3) |
 * |---|---|---|
 * | header refused | EINVAL, sticky, and RESUMING to STOP fails | EFAULT once, the bytes count, nothing remembers it |
 * | write past the stream | ENOMEM, nothing consumed | the same |
 * | commit past the stream | EINVAL, sticky | ENOMEM, nothing consumed |
 * | the same on an ended session | ENODEV | ENOMEM |
 *
 * Strict answers EINVAL, not EFAULT: EFAULT means that the caller's memory is bad, and such a
 * write may be repeated.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import type { ResumeEnd } from '../../session/session-end.ts'
import { POLLOUT, POLLWRNORM } from '../../uapi/poll.ts'
import { findHeaderRefusal, findPortsRefusal, HEADER_BYTES, imageBytes } from './image.ts'
import type { ImageRefusal } from './image.ts'

/** The error for a stream that cannot be loaded. */
function refuse(
  code: 'EINVAL' | 'EFAULT',
  syscall: string,
  { section, offset, reason }: ImageRefusal,
): VfioError {
  const message = `Cannot load mtty stream: ${reason} (${section}, byte ${offset}), send it from an mtty of the same shape`
  return new VfioError(code, message, { syscall, section, offset })
}

/** A stream being received. */
export class MttyResumeEnd implements ResumeEnd {
  readonly direction = 'resume'
  /** Profile exact: a failed write leaves no trace. */
  readonly stickyFailures: boolean
  readonly #ports: number
  readonly #exact: boolean
  readonly #image: Uint8Array
  #staging: Uint8Array | undefined
  #received = 0
  #ended = false
  #failure: VfioError | undefined

  constructor(ports: number, exact: boolean) {
    this.#ports = ports
    this.#exact = exact
    this.stickyFailures = !exact
    this.#image = new Uint8Array(imageBytes(ports))
  }

  /**
   * The Linux driver looks at the length before it looks at the session: EINVAL when the position
   * would overflow, ENOMEM when the write passes the stream, also on an ended session, whose
   * position is 0. Strict has nothing to say here: an ended session is ENODEV first.
   */
  admit(byteLength: number): void {
    if (this.#exact) this.#checkLength(byteLength)
  }

  /**
   * @throws {@link VfioError} ENOMEM when `src` passes the end of the stream; EINVAL (strict) or
   * EFAULT (exact) when it completes a header this device does not accept
   */
  write(src: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure
    this.#checkLength(src.length)
    const before = this.#received
    this.#image.set(src, before)
    this.#received += src.length
    if (before < HEADER_BYTES && this.#received >= HEADER_BYTES) this.#checkHeader()
    return src.length
  }

  /** At most what is left of the stream, so a window never reaches past it; scratch when it is complete. */
  window(maxBytes: number): Uint8Array {
    this.#staging ??= new Uint8Array(this.#image.length)
    const left = this.#image.length - this.#received
    return this.#staging.subarray(0, left > 0 ? Math.min(maxBytes, left) : maxBytes)
  }

  /**
   * @throws {@link VfioError} as {@link write}, but for bytes behind the last one: who commits them has
   * taken them from somewhere, so they are content of a stream that is too long. Strict: EINVAL, sticky
   */
  commit(byteLength: number): void {
    const pastEnd = byteLength > 0 && this.#received === this.#image.length
    if (pastEnd && !this.#exact && this.#failure === undefined) {
      const reason = `it goes on after byte ${this.#received}`
      this.#failure = refuse('EINVAL', 'commit', { section: 'end', offset: this.#received, reason })
    }
    this.write(this.#staging!.subarray(0, byteLength))
  }

  /** Always writable, with both bits, as a running kernel says (test/oracle). */
  poll(): number {
    return POLLOUT | POLLWRNORM
  }

  /**
   * The ports of the received stream, checked.
   *
   * @throws {@link VfioError} EINVAL when the header was refused (strict), bytes are missing (the
   * rest may still be written), or a field of a port is out of range (both profiles)
   */
  complete(): Uint8Array {
    if (this.#failure !== undefined) throw this.#failure
    const missing = this.#image.length - this.#received
    if (missing > 0) {
      throw new VfioError(
        'EINVAL',
        `Cannot load mtty stream: it ends at byte ${this.#received} of ${this.#image.length}, write the remaining ${missing}`,
        { syscall: 'setState', offset: this.#received },
      )
    }
    const refusal = findPortsRefusal(this.#image, this.#ports)
    if (refusal !== undefined) throw refuse('EINVAL', 'setState', refusal)
    return this.#image
  }

  /** The bytes stay until the device drops them: a user may close the session before RESUMING to STOP. */
  end(): void {
    this.#ended = true
  }

  #checkHeader(): void {
    const refusal = findHeaderRefusal(this.#image, this.#ports)
    if (refusal === undefined) return
    const failure = refuse(this.#exact ? 'EFAULT' : 'EINVAL', 'write', refusal)
    if (!this.#exact) this.#failure = failure
    throw failure
  }

  #checkLength(byteLength: number): void {
    const position = this.#ended ? 0 : this.#received
    const end = position + byteLength
    if (!Number.isSafeInteger(end)) {
      throw new VfioError('EINVAL', 'Cannot write: the position overflows, write less', { syscall: 'write' })
    }
    if (end > this.#image.length) {
      throw new VfioError(
        'ENOMEM',
        `Cannot write: ${byteLength} bytes at ${position} pass the end of the ${this.#image.length}-byte mtty stream, write less`,
        { syscall: 'write', offset: position },
      )
    }
  }
}
