import { describe, expect, test } from 'vitest'
import { BASELINE_SHARED_WASM } from '../../src/engine/generated/wasm-baseline-shared.ts'
import { SIMD_SHARED_WASM } from '../../src/engine/generated/wasm-simd-shared.ts'
import { BASELINE_WASM, SIMD_WASM } from '../../src/engine/generated/wasm.ts'
import {
  LAYOUT_CHECK_BYTES,
  LAYOUT_GROUP_BYTES,
  LAYOUT_OP_BYTES,
  RUN_BYTES,
  ZERO_RUN_FLAG,
} from '../../src/engine/index.ts'
import {
  ABI_VERSION,
  CHECKSUM_CRC32C,
  CHECKSUM_XXH3,
  CRC32C_SCRATCH_BYTES,
  KERNEL_EFAULT,
  KERNEL_EINVAL,
  LZ4_TABLE_BYTES,
  SECTION_CHECKSUM_AT,
  SECTION_FIRST_AT,
  SECTION_HEADER_BYTES,
  SECTION_PAYLOAD_BYTES_AT,
  SECTION_PAYLOAD_CHECKSUM_AT,
  SECTION_SEQUENCE_AT,
  XXH3_SCRATCH_BYTES,
  XXH3_STATE_BYTES,
} from '../../src/engine/kernel-abi.ts'
import type { KernelAbi } from '../../src/engine/kernel-abi.ts'
import { Errno } from '../../src/errors.ts'

const START_SECTION = 8
const MEMORY_SECTION = 5
const IMPORT_SECTION = 2
const DATA_SECTION = 11
const DATA_COUNT_SECTION = 12

/** Sections of a binary by id, custom ones left out. */
function sections(binary: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>()
  let at = 8
  while (at < binary.length) {
    const id = binary[at] as number
    const { value, next } = leb128(binary, at + 1)
    if (id !== 0) found.set(id, binary.subarray(next, next + value))
    at = next + value
  }
  return found
}

function leb128(bytes: Uint8Array, start: number): { value: number; next: number } {
  let value = 0
  for (let at = start, shift = 0; ; at++, shift += 7) {
    const byte = bytes[at] as number
    value |= (byte & 0x7f) << shift
    if (byte < 0x80) return { value: value >>> 0, next: at + 1 }
  }
}

/** A name as a binary holds it. */
function text(value: string): number[] {
  return [value.length, ...Buffer.from(value)]
}

describe.each([
  ['simd', SIMD_WASM, false],
  ['baseline', BASELINE_WASM, false],
  ['simd, shared', SIMD_SHARED_WASM, true],
  ['baseline, shared', BASELINE_SHARED_WASM, true],
])('the %s binary', (variant, base64, shared) => {
  const onePage = (): WebAssembly.Memory =>
    new WebAssembly.Memory(shared ? { initial: 1, maximum: 1, shared } : { initial: 1 })
  const binary = new Uint8Array(Buffer.from(base64, 'base64'))
  const parsed = sections(binary)

  test('has no data segment and no start function: instantiation writes nothing into a foreign memory', () => {
    expect([...parsed.keys()]).toContain(IMPORT_SECTION)
    expect(parsed.has(DATA_SECTION)).toBe(false)
    expect(parsed.has(DATA_COUNT_SECTION)).toBe(false)
    expect(parsed.has(START_SECTION)).toBe(false)
  })

  test('imports one thing: a memory, plain without a maximum, or shared of up to all 65,536 pages', () => {
    const memoryKind = 2
    const imports = [...(parsed.get(IMPORT_SECTION) ?? [])]
    const head = [1, ...text('env'), ...text('memory'), memoryKind]
    expect(imports.slice(0, head.length)).toEqual(head)
    const [limits, pagesItInsistsOn, ...maximum] = imports.slice(head.length)
    expect(limits).toBe(shared ? 3 : 0)
    expect(pagesItInsistsOn).toBeLessThanOrEqual(1)
    // 65,536 as LEB128.
    expect(maximum).toEqual(shared ? [0x80, 0x80, 4] : [])
    expect(parsed.has(MEMORY_SECTION)).toBe(false)
  })

  test('changes no byte of the memory it is linked to', async () => {
    const memory = onePage()
    new Uint8Array(memory.buffer).fill(0x5a)
    await WebAssembly.instantiate(binary, { env: { memory } })
    expect(new Uint8Array(memory.buffer).every((byte) => byte === 0x5a)).toBe(true)
  })

  test('refuses scratch outside the memory', async () => {
    const memory = onePage()
    const { instance } = await WebAssembly.instantiate(binary, { env: { memory } })
    const abi = instance.exports as unknown as KernelAbi
    const end = 65_536
    expect(abi.crc32cTablesBuild(end - CRC32C_SCRATCH_BYTES)).toBe(0)
    expect(abi.xxh3ScratchBuild(end - XXH3_SCRATCH_BYTES)).toBe(0)
    const before = new Uint8Array(memory.buffer).slice()
    expect([
      abi.crc32cTablesBuild(end - CRC32C_SCRATCH_BYTES + 1),
      abi.crc32cUpdate(0, 8, 0, 16, end - CRC32C_SCRATCH_BYTES + 1),
      abi.crc32cUpdate(0, 8, 0, end - 3, 0),
      abi.crc32cCopy(100, 0, 8, 0, 16, end - CRC32C_SCRATCH_BYTES + 1),
      abi.crc32cCopy(100, 0, 8, 0, end - 3, 0),
      abi.lz4Compress(0, 8, 16, 100, end - LZ4_TABLE_BYTES + 1),
      abi.xxh3Hash(0, 300, 16, 0, 0, end - XXH3_SCRATCH_BYTES + 1),
      abi.xxh3Hash(0, 300, 16, 0, 0, -1),
      abi.xxh3ScratchBuild(end - XXH3_SCRATCH_BYTES + 1),
      abi.xxh3Copy(1000, 0, 300, 16, 0, 0, end - XXH3_SCRATCH_BYTES + 1),
      abi.xxh3Update(1000, 0, 300, end - XXH3_SCRATCH_BYTES + 1),
      abi.xxh3Digest(1000, 0, end - XXH3_SCRATCH_BYTES + 1),
      abi.sectionSeal(0, 0, 100, 300, 0, 0, end - XXH3_SCRATCH_BYTES + 1, 0),
      abi.sectionSeal(0, 0, 100, 300, 0, 0, 0, end - CRC32C_SCRATCH_BYTES + 1),
      abi.sectionVerify(1, 0, 100, 300, end - XXH3_SCRATCH_BYTES + 1, 0),
      abi.sectionVerify(1, 0, 100, 300, 0, end - CRC32C_SCRATCH_BYTES + 1),
      abi.sectionsGather(0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, end - XXH3_SCRATCH_BYTES + 1, 0),
      abi.sectionsGather(0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, end - CRC32C_SCRATCH_BYTES + 1),
      abi.pagesHash(0, 8192, 4096, 16_384, end - XXH3_SCRATCH_BYTES + 1),
      abi.pagesHashDiff(0, 8192, 4096, 16_384, 20_000, end - XXH3_SCRATCH_BYTES + 1),
    ]).toEqual(Array(20).fill(KERNEL_EFAULT))
    expect(Buffer.compare(new Uint8Array(memory.buffer), before)).toBe(0)
  })

  test('states the numbers the host believes', async () => {
    const memory = onePage()
    const { instance } = await WebAssembly.instantiate(binary, { env: { memory } })
    const numbers = Object.fromEntries(
      Object.entries(instance.exports)
        .filter(([, value]) => value instanceof WebAssembly.Global)
        .map(([name, value]) => [name, (value as WebAssembly.Global).value as number]),
    )
    expect(numbers).toEqual({
      ABI_VERSION,
      CHECKSUM_CRC32C,
      CHECKSUM_XXH3,
      CRC32C_SCRATCH_BYTES,
      EFAULT: KERNEL_EFAULT,
      EINVAL: KERNEL_EINVAL,
      LAYOUT_CHECK_BYTES,
      LAYOUT_GROUP_BYTES,
      LAYOUT_OP_BYTES,
      LZ4_TABLE_BYTES,
      RUN_BYTES,
      SECTION_CHECKSUM_AT,
      SECTION_FIRST_AT,
      SECTION_HEADER_BYTES,
      SECTION_PAYLOAD_BYTES_AT,
      SECTION_PAYLOAD_CHECKSUM_AT,
      SECTION_SEQUENCE_AT,
      SIMD_BUILD: variant.startsWith('simd') ? 1 : 0,
      XXH3_SCRATCH_BYTES,
      XXH3_STATE_BYTES,
      ZERO_RUN_FLAG,
    })
    expect(KERNEL_EFAULT).toBe(-Errno.EFAULT)
    expect(KERNEL_EINVAL).toBe(-Errno.EINVAL)
  })
})
