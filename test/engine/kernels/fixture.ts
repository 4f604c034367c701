import { expect } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { Engine } from '../../../src/engine/index.ts'

/** Repeatable bytes that are nowhere regular. */
export function noise(byteLength: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(byteLength)
  let state = seed
  for (let i = 0; i < byteLength; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** Puts bytes into newly allocated engine memory. */
export function place(engine: Engine, bytes: Uint8Array, alignment?: number): number {
  const pointer = engine.allocate(bytes.length, alignment)
  engine.bytes.set(bytes, pointer)
  return pointer
}

/** Expects `call` to throw a VfioError with `code` and to leave every byte of the memory as it was. */
export function expectUntouched(engine: Engine, code: 'EFAULT' | 'EINVAL', call: () => unknown): void {
  const before = engine.bytes.slice()
  let error: unknown
  try {
    call()
  } catch (thrown) {
    error = thrown
  }
  expect(VfioError.is(error, code), `${String(error)} should be ${code}`).toBe(true)
  expect(Buffer.compare(engine.bytes, before), 'the memory changed').toBe(0)
}
