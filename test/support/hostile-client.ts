/**
 * Messages that a server of vfio-user must not believe, from a seed: garbage, nearly valid ones, and valid ones in
 * the wrong place.
 *
 * @module
 */

import { u32, u64, wireMessage } from './vfio-user-wire.ts'

/** Numbers of which one is often at a bound. */
const EDGES = [0, 1, 2, 3, 7, 8, 9, 15, 16, 31, 32, 63, 64, 255, 256, 4095, 4096, 65_535, 65_536, 1_048_576]
const LARGE = [1_048_577, 0x7fffffff, 0x80000000, 0xffffffff]

/** A source of messages. */
export class HostileMessages {
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  /** A whole number of 0 to `end`, `end` excluded. */
  below(end: number): number {
    return Math.floor(this.#random() * end)
  }

  /** Random bytes. */
  bytes(byteLength: number): Buffer {
    return Buffer.from(Array.from({ length: byteLength }, () => this.below(256)))
  }

  /** The next message. Most can be read as one; some desynchronise the connection. */
  next(): Buffer {
    const id = this.below(65_536)
    switch (this.below(10)) {
      case 0:
        return wireMessage(id, this.below(20), this.bytes(this.below(65)))
      case 1:
        return wireMessage(id, this.#pick(EDGES) & 0xffff, this.bytes(this.below(65)), {
          flags: this.below(64),
        })
      case 2:
        return wireMessage(id, 11 + this.below(2), this.bytes(this.below(65)), {
          flags: 1 + 32 * this.below(2),
        })
      default:
        return wireMessage(id, ...this.#nearly())
    }
  }

  /** A message whose header announces other bytes than follow. */
  torn(): Buffer {
    const size = this.below(3) === 0 ? this.#pick(LARGE) : this.below(16)
    return wireMessage(this.below(65_536), this.below(20), this.bytes(this.below(65)), { size })
  }

  #pick(from: readonly number[]): number {
    return from[this.below(from.length)] as number
  }

  /** A number that is often small, sometimes at a bound and sometimes huge. */
  #number(): number {
    const way = this.below(8)
    if (way === 0) return this.#pick(LARGE)
    return way < 4 ? this.#pick(EDGES) : this.below(20)
  }

  #address(): bigint {
    const way = this.below(6)
    if (way === 0) return 0xffff_ffff_ffff_f000n
    return way === 1 ? BigInt(this.#number()) : BigInt(this.below(8)) * 4096n
  }

  /** Mostly configuration space. */
  #region(): number {
    return this.below(2) === 0 ? 7 : this.below(9)
  }

  /** Mostly a page. */
  #length(): bigint {
    return this.below(4) === 0 ? this.#address() : 4096n
  }

  /** In a file: mostly its start. */
  #offset(): bigint {
    return this.below(4) === 0 ? this.#address() : 0n
  }

  /** START, STOP or REPORT of DMA logging. */
  #logging(): [command: number, payload: Buffer] {
    const way = this.below(4)
    if (way === 0) return [16, Buffer.concat([u32(24, 0x20006), u64(this.#length()), u32(this.below(2), 0)])]
    if (way === 1 && this.below(4) === 0) return [16, u32(8, 0x20007)]
    return [
      16,
      Buffer.concat([u32(40 + this.#number(), 0x10008), u64(this.#address(), this.#length(), 4096)]),
    ]
  }

  /** A command and a payload of the right shape, with values of any kind. */
  #nearly(): [command: number, payload: Buffer] {
    const [command, payload] = this.#shaped()
    if (this.below(6) > 0) return [command, payload]
    return [command, payload.subarray(0, this.below(payload.length + 1))]
  }

  #shaped(): [command: number, payload: Buffer] {
    const n = (): number => this.#number()
    switch (this.below(14)) {
      case 0:
        return [
          2,
          Buffer.concat([u32(32, this.below(17)), u64(this.#offset(), this.#address(), this.#length())]),
        ]
      case 1:
        return [
          3,
          Buffer.concat([u32(24 + n(), this.below(4)), u64(this.#address(), this.#length(), 4096, n())]),
        ]
      case 2:
        return [4 + this.below(4), u32(32, 0, this.below(10), n(), 0, 0, 0, 0)]
      case 3:
        return [
          8,
          Buffer.concat([u32(20, 1 << this.below(7), this.below(6), n(), n()), this.bytes(this.below(9))]),
        ]
      case 4:
        return [
          8,
          Buffer.concat([u32(20, (1 << this.below(3)) | (8 << this.below(3)), this.below(5), 0, 1), u32(1)]),
        ]
      case 5:
        return [9, Buffer.concat([u64(this.below(300)), u32(this.#region(), this.below(33))])]
      case 6: {
        const count = this.below(9)
        return [10, Buffer.concat([u64(this.below(300)), u32(this.#region(), count), this.bytes(count)])]
      }
      case 7:
        return [9 + this.below(2), Buffer.concat([u64(this.#address()), u32(n(), n())])]
      case 8:
        return this.below(4) === 0 ? [13, Buffer.alloc(0)] : this.#logging()
      case 9:
      case 10:
        return [16, u32(16, 0x20002, this.below(2) === 0 ? 2 : this.below(9), 0xffffffff)]
      case 11:
        return [
          16,
          Buffer.concat([u32(n(), ((1 + this.below(7)) << 16) | this.below(14)), u64(4096, n(), 4096)]),
        ]
      case 12:
        return [17, u32(8 + n(), this.#pick(EDGES))]
      default: {
        const count = this.below(65)
        return [18, Buffer.concat([u32(8 + count, count), this.bytes(count)])]
      }
    }
  }
}
