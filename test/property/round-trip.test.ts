/**
 * Any device, any content, any cut of the stream: what is restored is what was saved, and the three
 * engines write the same bytes.
 *
 * @module
 */

import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import {
  array,
  blob,
  bool,
  type Compression,
  defineDevice,
  type Field,
  i16,
  i32,
  i64,
  i8,
  nested,
  repeated,
  ring,
  type Schema,
  u16,
  u32,
  u64,
  u8,
} from '../../src/driver/index.ts'
import { createEngine, type Engine } from '../../src/engine/index.ts'
import { VfioError } from '../../src/errors.ts'
import type { DataSession } from '../../src/session/data-session.ts'
import { DeviceState } from '../../src/uapi/state.ts'
import { readIndependently } from '../support/independent-reader.ts'
import { concat } from '../support/stream-builder.ts'

const { STOP, STOP_COPY, RESUMING, PRE_COPY } = DeviceState
const ENGINES: readonly Engine[] = await Promise.all(
  (['simd', 'baseline', 'reference'] as const).map((variant) =>
    createEngine({ variant, memoryBytes: 8 * 1024 * 1024 }),
  ),
)

const big = { endian: 'big' } as const
const scalar = fc.constantFrom<Field>(
  u8(),
  u16(),
  u32(),
  u64(),
  i8(),
  i16(),
  i32(),
  i64(),
  u16(big),
  u32(big),
  u64(big),
  i16(big),
  i32(big),
  i64(big),
)
const small = fc.integer({ min: 1, max: 9 })
const { field } = fc.letrec<{ field: Field; schema: Schema }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 2, depthSize: 'small' },
    scalar,
    fc.constant<Field>(bool()),
    fc.tuple(scalar, small).map(([element, length]) => array(element as never, length) as Field),
    fc.tuple(scalar, small).map(([element, capacity]) => ring(element as never, capacity) as Field),
    fc.integer({ min: 1, max: 40 }).map((byteLength) => blob(byteLength)),
    tie('schema').map((fields) => nested(fields)),
    fc.tuple(fc.integer({ min: 1, max: 4 }), tie('schema')).map(([count, fields]) => repeated(count, fields)),
  ),
  schema: fc.dictionary(fc.string({ minLength: 1, maxLength: 5 }), tie('field'), { maxKeys: 6 }),
}))
const schema: fc.Arbitrary<Schema> = fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), field, {
  maxKeys: 12,
})

/** Writes to a memory region: most content is sparse, so that runs of both kinds come. */
const writes = fc.array(
  fc.record({
    at: fc.nat(),
    byteLength: fc.integer({ min: 0, max: 9000 }),
    value: fc.integer({ min: 0, max: 255 }),
  }),
  { maxLength: 8 },
)
const regions = fc.array(fc.record({ byteLength: fc.integer({ min: 0, max: 120_000 }), writes }), {
  maxLength: 3,
})
const cuts = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 10 })

interface Content {
  readonly schema: Schema
  readonly regions: readonly {
    byteLength: number
    writes: readonly { at: number; byteLength: number; value: number }[]
  }[]
  readonly seed: number
  readonly checksum: 'xxh3' | 'crc32c'
  readonly compression: Compression
}
const content: fc.Arbitrary<Content> = fc.record({
  schema,
  regions,
  seed: fc.integer(),
  checksum: fc.constantFrom('xxh3' as const, 'crc32c' as const),
  compression: fc.constantFrom<Compression>('none', 'lz4'),
})

function define({ schema: state, regions: list, checksum, compression }: Content, engine: Engine) {
  const memory = Object.fromEntries(list.map(({ byteLength }, index) => [`m${index}`, { byteLength }]))
  return defineDevice({ type: 'random', version: 1, engine, checksum, compression, state, memory })
}
type Device = ReturnType<typeof define>

/** Numbers that depend on nothing but the seed (xorshift). */
function numbers(seed: number): () => number {
  let x = seed | 1
  return () => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return x >>> 0
  }
}

/** Sets every field of a state, rings to any fill and start, in schema order. */
function fillState(state: Record<string, unknown>, fields: Schema, next: () => number): void {
  for (const [name, definition] of Object.entries(fields)) {
    const value = state[name]
    const one = (wide: boolean): unknown => (wide ? (BigInt(next()) << 32n) | BigInt(next()) : next())
    if (definition.kind === 'scalar')
      state[name] = definition.type === 'boolean' ? (next() & 1) === 1 : one(definition.width === 8)
    else if (definition.kind === 'array')
      for (let i = 0; i < definition.length; i++)
        (value as unknown[])[i] = one(definition.element.width === 8)
    else if (definition.kind === 'blob')
      for (let i = 0; i < definition.byteLength; i++) (value as Uint8Array)[i] = next()
    else if (definition.kind === 'ring') {
      const queue = value as { push(item: unknown): boolean; shift(): unknown }
      for (let i = next() % (2 * definition.capacity); i > 0; i--)
        if (!queue.push(one(definition.element.width === 8)) || (next() & 1) === 1) queue.shift()
    } else if (definition.kind === 'nested')
      fillState(value as Record<string, unknown>, definition.fields, next)
    else for (const unit of value as Record<string, unknown>[]) fillState(unit, definition.fields, next)
  }
}

/** The state as plain values. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (ArrayBuffer.isView(value)) return [...(value as Uint8Array)]
  if (typeof value !== 'object' || value === null) return value
  const queue = value as {
    capacity?: unknown
    push?: unknown
    at?: (index: number) => unknown
    length?: number
  }
  if (typeof queue.push === 'function' && typeof queue.capacity === 'number')
    return Array.from({ length: queue.length as number }, (_, index) => queue.at?.(index))
  return Object.entries(value).map(([name, inner]) => [name, plain(inner)])
}

function writeRegion(driver: Device, { regions: list }: Content, from: number, to: number): void {
  for (const [index, { byteLength, writes: changes }] of list.entries())
    for (const change of changes.slice(from, to)) {
      if (byteLength === 0) continue
      const at = change.at % byteLength
      driver.memory[`m${index}`]?.write(
        at,
        new Uint8Array(Math.min(change.byteLength, byteLength - at)).fill(change.value),
      )
    }
}

/** Reads in pieces of the given lengths, over and over; to the end, or to ENOMSG. */
function readPieces(
  session: DataSession,
  lengths: readonly number[],
  most = Number.POSITIVE_INFINITY,
): Uint8Array[] {
  const chunks: Uint8Array[] = []
  try {
    for (let i = 0; i < most; i++) {
      const buffer = new Uint8Array(lengths[i % lengths.length] as number)
      const n = session.read(buffer)
      if (n === 0) break
      chunks.push(buffer.subarray(0, n))
    }
  } catch (error) {
    if (!VfioError.is(error, 'ENOMSG')) throw error
  }
  return chunks
}

/** Saves a device with this content; with `live`, through PRE_COPY with writes between the reads. */
async function save(
  what: Content,
  engine: Engine,
  lengths: readonly number[],
  live: boolean,
): Promise<{ stream: Uint8Array; driver: Device; device: VfioDevice }> {
  const driver = define(what, engine)
  const device = await VfioDevice.open(driver)
  writeRegion(driver, what, 0, 4)
  const chunks: Uint8Array[] = []
  let session: DataSession | undefined
  if (live) {
    session = await device.setState(PRE_COPY)
    chunks.push(...readPieces(session as DataSession, lengths, 3))
    writeRegion(driver, what, 4, 6)
    chunks.push(...readPieces(session as DataSession, lengths))
  }
  writeRegion(driver, what, live ? 6 : 4, 8)
  fillState(driver.state, what.schema, numbers(what.seed))
  const stopped = await device.setState(STOP_COPY)
  chunks.push(...readPieces((session ?? stopped) as DataSession, lengths))
  return { stream: concat(chunks), driver, device }
}

async function restore(
  what: Content,
  engine: Engine,
  stream: Uint8Array,
  lengths: readonly number[],
  windows: boolean,
): Promise<{ driver: Device; device: VfioDevice }> {
  const driver = define(what, engine)
  const device = await VfioDevice.open(driver)
  const session = (await device.setState(RESUMING)) as DataSession
  for (let at = 0, i = 0; at < stream.length; i++) {
    const piece = stream.subarray(at, at + (lengths[i % lengths.length] as number))
    if (windows) {
      const window = session.window(piece.length)
      window.set(piece.subarray(0, window.length))
      session.commit(window.length)
      at += window.length
    } else at += session.write(piece)
  }
  await device.setState(STOP)
  return { driver, device }
}

describe('save and restore', () => {
  it.each([
    ['through STOP_COPY', false],
    ['through PRE_COPY', true],
  ])('%s give the same state and memory, in every engine the same bytes', async (_, live) => {
    await fc.assert(
      fc.asyncProperty(content, cuts, cuts, fc.boolean(), async (what, readCuts, writeCuts, windows) => {
        const before = ENGINES.map(({ allocatedBytes }) => allocatedBytes)
        const streams: Uint8Array[] = []
        for (const [index, engine] of ENGINES.entries()) {
          const source = await save(what, engine, readCuts, live)
          streams.push(source.stream)
          expect(Buffer.compare(source.stream, streams[0] as Uint8Array)).toBe(0)
          // Each engine restores what another one wrote.
          const other = ENGINES[(index + 1) % ENGINES.length] as Engine
          const target = await restore(what, other, source.stream, writeCuts, windows)
          expect(plain(target.driver.state)).toEqual(plain(source.driver.state))
          for (const [name, region] of Object.entries(source.driver.memory))
            expect(Buffer.compare(target.driver.memory[name]?.bytes as Uint8Array, region.bytes)).toBe(0)
          if (index === 0)
            for (const { name, bytes } of readIndependently(source.stream).regions)
              expect(Buffer.compare(bytes, source.driver.memory[name]?.bytes as Uint8Array)).toBe(0)
          await source.device.close()
          await target.device.close()
        }
        expect(ENGINES.map(({ allocatedBytes }) => allocatedBytes)).toEqual(before)
      }),
      { numRuns: 60 },
    )
  })
})
