/**
 * A very small assembler for 16-bit code: bytes, labels, and the few instructions that our guest is made of.
 * What has no name here is written as bytes beside its mnemonic.
 *
 * @module
 */

const WORD_REGISTERS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const
const BYTE_REGISTERS = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'] as const
const JUMPS = { jmp: 0xeb, jb: 0x72, je: 0x74, jne: 0x75, jns: 0x79, loop: 0xe2 } as const

/** A 16-bit register. */
export type WordRegister = (typeof WORD_REGISTERS)[number]
/** An 8-bit register. */
export type ByteRegister = (typeof BYTE_REGISTERS)[number]

interface Fixup {
  readonly at: number
  readonly label: string
  readonly kind: 'rel8' | 'rel16' | 'abs16'
}

/** Code for one place in memory. */
export class Assembler {
  readonly #origin: number
  readonly #bytes: number[] = []
  readonly #labels = new Map<string, number>()
  readonly #fixups: Fixup[] = []

  /** @param origin offset of the first byte in its segment */
  constructor(origin: number) {
    this.#origin = origin
  }

  /** The next byte's name. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`label ${name} is there twice`)
    this.#labels.set(name, this.#origin + this.#bytes.length)
    return this
  }

  /** Bytes as they are; the mnemonic is for who reads the source. */
  raw(_mnemonic: string, ...bytes: readonly number[]): this {
    this.#bytes.push(...bytes)
    return this
  }

  /** `mov register, value`; a label is its offset. */
  mov(register: WordRegister, value: number | string): this {
    this.#bytes.push(0xb8 + WORD_REGISTERS.indexOf(register))
    return typeof value === 'string' ? this.#fix('abs16', value) : this.word(value)
  }

  /** `mov register, value` of 8 bits. */
  movb(register: ByteRegister, value: number): this {
    return this.raw('mov', 0xb0 + BYTE_REGISTERS.indexOf(register), value)
  }

  /** `out port, al` with the value loaded before. */
  out(port: number, value: number): this {
    return this.movb('al', value).raw('out', 0xe6, port)
  }

  int(vector: number): this {
    return this.raw('int', 0xcd, vector)
  }

  /** A short jump. */
  jump(name: keyof typeof JUMPS, label: string): this {
    this.#bytes.push(JUMPS[name])
    return this.#fix('rel8', label)
  }

  /** `jmp` to anywhere in the segment. */
  jumpNear(label: string): this {
    this.#bytes.push(0xe9)
    return this.#fix('rel16', label)
  }

  call(label: string): this {
    this.#bytes.push(0xe8)
    return this.#fix('rel16', label)
  }

  /** The offset of a label, as a word. */
  address(label: string): this {
    return this.#fix('abs16', label)
  }

  word(value: number): this {
    this.#bytes.push(value & 0xff, (value >> 8) & 0xff)
    return this
  }

  /** Zeros up to an offset of the segment. */
  padTo(offset: number): this {
    const missing = offset - this.#origin - this.#bytes.length
    if (missing < 0) throw new Error(`code passes offset 0x${offset.toString(16)} by ${-missing} bytes`)
    for (let n = 0; n < missing; n++) this.#bytes.push(0)
    return this
  }

  /** The code with all labels filled in. */
  assemble(): Uint8Array<ArrayBuffer> {
    const code = Uint8Array.from(this.#bytes)
    const view = new DataView(code.buffer)
    for (const { at, label, kind } of this.#fixups) {
      const target = this.#labels.get(label)
      if (target === undefined) throw new Error(`label ${label} is nowhere`)
      if (kind === 'abs16') view.setUint16(at, target, true)
      else {
        const width = kind === 'rel8' ? 1 : 2
        const distance = target - (this.#origin + at + width)
        if (kind === 'rel8' && (distance < -128 || distance > 127))
          throw new Error(`label ${label} is ${distance} bytes away, too far for a short jump`)
        if (kind === 'rel8') view.setInt8(at, distance)
        else view.setInt16(at, distance, true)
      }
    }
    return code
  }

  #fix(kind: Fixup['kind'], label: string): this {
    this.#fixups.push({ at: this.#bytes.length, label, kind })
    for (let n = kind === 'rel8' ? 1 : 2; n > 0; n--) this.#bytes.push(0)
    return this
  }
}
