/** A program's WebAssembly memory as its owner sees it. @module */

/** A memory with an allocator at its end, which grows it. */
export class OwnedMemory {
  readonly memory: WebAssembly.Memory
  /** Lengths that were asked for. */
  readonly asked: number[] = []

  constructor(byteLength: number, options: { shared?: boolean } = {}) {
    const initial = Math.ceil(byteLength / 65_536)
    this.memory = new WebAssembly.Memory(
      options.shared === true ? { initial, maximum: 4096, shared: true } : { initial },
    )
  }

  /** As an emulator's malloc: it grows the memory, which detaches every view. */
  readonly allocate = (bytes: number): number => {
    this.asked.push(bytes)
    const pages = Math.ceil(bytes / 65_536)
    return this.memory.grow(pages) * 65_536 + 24
  }

  bytes(byteOffset: number, byteLength: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer, byteOffset, byteLength)
  }
}
