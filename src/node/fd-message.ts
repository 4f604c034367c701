/**
 * `recvmsg` and `sendmsg` with file descriptors beside the bytes, on a non-blocking UNIX socket.
 *
 * ```text
 * msghdr   name 8 | namelen 4, pad 4 | iov 8 | iovlen 8 | control 8 | controllen 8 | flags 4, pad 4
 * iovec    base 8 | len 8
 * cmsghdr  len 8 | level 4 | type 4 | data, padded to 8
 * ```
 *
 * @module
 */

import type { Libc } from './libc.ts'

/** SCM_MAX_FD: most descriptors of one message. */
export const MAX_FDS = 253

const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_CTRUNC = 0x8
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x4000_0000
const EAGAIN = 11

const CMSG_BYTES = 16
const CONTROL_BYTES = CMSG_BYTES + Math.ceil((MAX_FDS * 4) / 8) * 8
/** Most pieces of memory of one call; the system takes up to 1024. */
const MAX_PIECES = 256

/** The words of a msghdr. */
const Word = { iov: 2, iovLength: 3, control: 4, controlLength: 5, flags: 6, count: 7 } as const

/** Receives with room for as many descriptors as can come. */
export class FdReceiver {
  /** Whether descriptors were lost in the last call: this process may have no more. */
  truncated = false
  readonly #libc: Libc
  readonly #header = new BigUint64Array(Word.count)
  readonly #iov = new BigUint64Array(2)
  readonly #control = new DataView(new ArrayBuffer(CONTROL_BYTES))
  readonly #headerAddress: bigint

  constructor(libc: Libc) {
    this.#libc = libc
    this.#header[Word.iov] = libc.addressOf(this.#iov)
    this.#header[Word.iovLength] = 1n
    this.#header[Word.control] = libc.addressOf(new Uint8Array(this.#control.buffer))
    this.#headerAddress = libc.addressOf(this.#header)
  }

  /** Fills `dst` from its front and adds to `fds` what came: the bytes, 0 at the end, or a negative errno. */
  receive(fd: number, dst: Uint8Array, fds: number[]): number {
    const header = this.#header
    this.#iov[0] = this.#libc.addressOf(dst)
    this.#iov[1] = BigInt(dst.length)
    header[Word.controlLength] = BigInt(CONTROL_BYTES)
    header[Word.flags] = 0n
    const byteLength = this.#libc.recvmsg(fd, this.#headerAddress, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)
    if (byteLength < 0) return byteLength
    this.truncated = (Number(header[Word.flags]) & MSG_CTRUNC) !== 0
    if (header[Word.controlLength] !== 0n) this.#collect(Number(header[Word.controlLength]), fds)
    return byteLength
  }

  #collect(byteLength: number, fds: number[]): void {
    const control = this.#control
    for (let at = 0; at + CMSG_BYTES <= byteLength;) {
      const length = Number(control.getBigUint64(at, true))
      if (length < CMSG_BYTES) return
      const isRights =
        control.getInt32(at + 8, true) === SOL_SOCKET && control.getInt32(at + 12, true) === SCM_RIGHTS
      const end = Math.min(at + length, byteLength)
      if (isRights) {
        for (let place = at + CMSG_BYTES; place + 4 <= end; place += 4) {
          fds.push(control.getInt32(place, true))
        }
      }
      at += Math.ceil(length / 8) * 8
    }
  }
}

/** Sends one message after the other, each in as many calls as the socket needs. */
export class FdSender {
  readonly #libc: Libc
  readonly #header = new BigUint64Array(Word.count)
  readonly #iov = new BigUint64Array(2 * MAX_PIECES)
  readonly #control = new DataView(new ArrayBuffer(CONTROL_BYTES))
  readonly #headerAddress: bigint
  readonly #controlAddress: bigint
  #chunks: readonly Uint8Array[] = []
  /** The next chunk, and how much of it was sent. */
  #index = 0
  #offset = 0

  constructor(libc: Libc) {
    this.#libc = libc
    this.#header[Word.iov] = libc.addressOf(this.#iov)
    this.#controlAddress = libc.addressOf(new Uint8Array(this.#control.buffer))
    this.#headerAddress = libc.addressOf(this.#header)
  }

  /** The message that {@link send} is to send: no empty chunks; at most {@link MAX_FDS} descriptors. */
  begin(chunks: readonly Uint8Array[], fds: readonly number[]): void {
    this.#chunks = chunks
    this.#index = 0
    this.#offset = 0
    const header = this.#header
    if (fds.length === 0) {
      this.#withoutFds()
      return
    }
    const control = this.#control
    const length = CMSG_BYTES + 4 * fds.length
    control.setBigUint64(0, BigInt(length), true)
    control.setInt32(8, SOL_SOCKET, true)
    control.setInt32(12, SCM_RIGHTS, true)
    for (const [index, fd] of fds.entries()) control.setInt32(CMSG_BYTES + 4 * index, fd, true)
    header[Word.control] = this.#controlAddress
    header[Word.controlLength] = BigInt(Math.ceil(length / 8) * 8)
  }

  /** Sends what the socket takes now: 1 when that was all, 0 when it was something, or a negative errno. */
  send(fd: number): number {
    while (this.#index < this.#chunks.length) {
      this.#header[Word.iovLength] = BigInt(this.#pack())
      const sent = this.#libc.sendmsg(fd, this.#headerAddress, MSG_DONTWAIT | MSG_NOSIGNAL)
      if (sent < 0) return sent === -EAGAIN ? 0 : sent
      // They went with the first byte.
      this.#withoutFds()
      this.#advance(sent)
    }
    this.#chunks = []
    return 1
  }

  #withoutFds(): void {
    this.#header[Word.control] = 0n
    this.#header[Word.controlLength] = 0n
  }

  #pack(): number {
    const chunks = this.#chunks
    const count = Math.min(chunks.length - this.#index, MAX_PIECES)
    for (let piece = 0; piece < count; piece++) {
      const chunk = chunks[this.#index + piece] as Uint8Array
      const skip = piece === 0 ? this.#offset : 0
      this.#iov[2 * piece] = this.#libc.addressOf(chunk) + BigInt(skip)
      this.#iov[2 * piece + 1] = BigInt(chunk.length - skip)
    }
    return count
  }

  #advance(byteLength: number): void {
    let left = byteLength
    while (left > 0) {
      const rest = (this.#chunks[this.#index] as Uint8Array).length - this.#offset
      if (left < rest) {
        this.#offset += left
        return
      }
      left -= rest
      this.#index++
      this.#offset = 0
    }
  }
}
