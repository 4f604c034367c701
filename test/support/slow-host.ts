/** A host whose memory answers DMA when a test says so. @module */

import type { HostMemory } from '../../src/devices/index.ts'
import { until } from './bulk-device.ts'

/** A DMA access that waits for its answer. */
export interface HostAccess {
  readonly kind: 'read' | 'write'
  readonly iova: bigint
  readonly byteLength: number
  /** Moves the bytes and answers. */
  answer(): void
  /** Refuses it. */
  refuse(): void
}

/** 64 KiB at IOVA 0; what the bytes are is said by {@link SlowHost.bytes}. */
export class SlowHost implements HostMemory {
  readonly bytes: Buffer = Buffer.alloc(65_536)
  /** All accesses, answered or not. */
  readonly accesses: HostAccess[] = []

  read(iova: bigint, dst: Uint8Array): Promise<void> {
    return this.#access('read', iova, dst, (at) => dst.set(this.bytes.subarray(at, at + dst.length)))
  }

  write(iova: bigint, src: Uint8Array): Promise<void> {
    return this.#access('write', iova, src, (at) => this.bytes.set(src, at))
  }

  /** Access number `index`, once it was made. */
  async access(index: number): Promise<HostAccess> {
    await until(() => this.accesses.length > index)
    return this.accesses[index] as HostAccess
  }

  #access(
    kind: 'read' | 'write',
    iova: bigint,
    { length: byteLength }: Uint8Array,
    move: (at: number) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.accesses.push({
        kind,
        iova,
        byteLength,
        answer: () => {
          move(Number(iova))
          resolve()
        },
        refuse: () => reject(new Error('no such memory')),
      })
    })
  }
}
