/** Streams in memory, whole and damaged. @module */

import { createBulk, createMtty } from '../../src/devices/index.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { save } from '../../src/migrate/index.ts'
import type { ByteSource } from '../../src/transport/index.ts'

/** The stream of a bulk with memory from a seed. */
export async function bulkStream(memoryBytes: number, seed: number): Promise<Uint8Array> {
  return streamOf(await VfioDevice.open(createBulk({ memoryBytes, seed })))
}

/** The stream of a two-port mtty with bytes in its registers and rings. */
export async function mttyStream(): Promise<Uint8Array> {
  const device = await VfioDevice.open(createMtty({ ports: 2 }))
  for (const port of [0, 1]) {
    device.regions?.write(port, 7, Uint8Array.of(0xa5 + port))
    for (const byte of [1, 2, 3]) device.regions?.write(port, 0, Uint8Array.of(byte))
  }
  return streamOf(device)
}

async function streamOf(device: VfioDevice): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  await save(device, {
    write: (written) => void chunks.push(...written.map((chunk) => chunk.slice())),
    close() {},
    abort() {},
  })
  await device.close()
  return Buffer.concat(chunks)
}

/** Gives these bytes; `isCanceled` says whether it was told to stop. */
export class BytesSource implements ByteSource {
  isCanceled = false
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  read(dst: Uint8Array): number {
    const part = this.#bytes.subarray(this.#at, this.#at + dst.length)
    dst.set(part)
    this.#at += part.length
    return part.length
  }

  cancel(): void {
    this.isCanceled = true
  }
}

/** Flips one bit; twice is as before. */
export function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >>> 3] = (bytes[bit >>> 3] as number) ^ (1 << (bit & 7))
}

/** The same numbers on every run: xorshift32. */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}
