/**
 * What the demo with a file does: one device saved, checked, restored to another and compared.
 *
 * @module
 */

import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BulkMemory } from '../../devices/index.ts'
import { VfioError } from '../../errors.ts'
import { transitionPath } from '../../fsm/index.ts'
import { inspect, restore, save, type StreamReport, verify } from '../../migrate/index.ts'
import { fileSink, fileSource } from '../../node/index.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { formatBytes } from '../byte-size.ts'
import { BLOCK_BYTES, fillBlock } from './image.ts'
import { type Failure, failureOf } from '../failure.ts'
import { openBulk } from '../open-device.ts'

/** Sections of the demo's own report: the first few say how a stream begins. */
const LISTED_SECTIONS = 8

/** One step that is done. */
export interface FileDemoStep {
  readonly name: string
  readonly text: string
  /** Device memory that it is about. */
  readonly memoryBytes: number
  readonly elapsedMs: number
}

/** What the demo found. */
export interface FileDemoReport {
  readonly memoryBytes: number
  readonly steps: readonly FileDemoStep[]
  readonly stream: StreamReport
  /** The states each device went through. */
  readonly walk: { readonly source: readonly string[]; readonly destination: readonly string[] }
  readonly equal: true
  /** How the stream was refused once one of its bits was flipped. */
  readonly damage: Failure
}

/** Runs the demo in a temporary directory, which is gone at the end. Rejects when anything is not as it must be. */
export async function runFileDemo(
  memoryBytes: number,
  signal: AbortSignal,
  onStep: (step: FileDemoStep) => void = () => {},
): Promise<FileDemoReport> {
  const directory = await mkdtemp(join(tmpdir(), 'stopcopy-demo-'))
  try {
    return await new FileDemo(memoryBytes, join(directory, 'device.stopcopy'), signal, onStep).run()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

class FileDemo {
  readonly #memoryBytes: number
  readonly #path: string
  readonly #signal: AbortSignal
  readonly #onStep: (step: FileDemoStep) => void
  readonly #steps: FileDemoStep[] = []

  constructor(memoryBytes: number, path: string, signal: AbortSignal, onStep: (step: FileDemoStep) => void) {
    this.#memoryBytes = memoryBytes
    this.#path = path
    this.#signal = signal
    this.#onStep = onStep
  }

  async run(): Promise<FileDemoReport> {
    const options = { signal: this.#signal }
    const path = this.#path
    const source = await openBulk(this.#memoryBytes)
    const destination = await openBulk(this.#memoryBytes)
    try {
      const [from, to] = [source.memory as BulkMemory, destination.memory as BulkMemory]
      await this.#step(
        'build',
        () => buildImage(from),
        `${formatBytes(this.#memoryBytes)} of text, tables, noise and zeros`,
      )
      await this.#step(
        'save',
        () => save(source.device, fileSink(path), options),
        'through STOP_COPY, to a file',
      )
      const found = await this.#step(
        'inspect',
        () => inspect(fileSource(path), options),
        'header, configuration, sections',
      )
      await this.#step('verify', () => verify(fileSource(path), options), 'every checksum, every page')
      await this.#step(
        'restore',
        () => restore(destination.device, fileSource(path), options),
        'through RESUMING, to a second device',
      )
      await this.#step('compare', () => compare(from, to), 'both memories, byte for byte')
      await flipBit(path)
      const damage = await this.#step(
        'damage',
        () => refusal(path, options),
        'one bit of the file flipped: refused',
      )
      const sections = found.sections.slice(0, LISTED_SECTIONS)
      const stream = { ...found, sections, truncated: found.sectionCount > sections.length }
      return { memoryBytes: this.#memoryBytes, steps: this.#steps, stream, walk: WALK, equal: true, damage }
    } finally {
      await source.close()
      await destination.close()
    }
  }

  async #step<T>(name: string, work: () => T | Promise<T>, text: string): Promise<T> {
    this.#signal.throwIfAborted()
    const startMs = performance.now()
    const result = await work()
    const step = { name, text, memoryBytes: this.#memoryBytes, elapsedMs: performance.now() - startMs }
    this.#steps.push(step)
    this.#onStep(step)
    return result
  }
}

const { RUNNING, STOP, STOP_COPY, RESUMING } = DeviceState

/** `save` ends in STOP, `restore` in RUNNING. */
const WALK = {
  source: walked(RUNNING, STOP_COPY, STOP),
  destination: walked(RUNNING, RESUMING, STOP, RUNNING),
}

/** All states on the way from one to the next, for a device with every capability. */
function walked(from: DeviceState, ...targets: readonly DeviceState[]): string[] {
  const states = [from]
  for (const target of targets) states.push(...transitionPath(states.at(-1) as DeviceState, target, 7))
  return states.map(deviceStateName)
}

async function buildImage(memory: BulkMemory): Promise<void> {
  const block = new Uint8Array(BLOCK_BYTES)
  for (let index = 0; index * BLOCK_BYTES < memory.byteLength; index++) {
    fillBlock(block, index)
    memory.write(index * BLOCK_BYTES, block.subarray(0, memory.byteLength - index * BLOCK_BYTES))
    if (index % 64 === 63) await turn()
  }
}

async function compare(first: BulkMemory, second: BulkMemory): Promise<void> {
  const pieces = [Buffer.alloc(BLOCK_BYTES), Buffer.alloc(BLOCK_BYTES)] as const
  for (let at = 0; at < first.byteLength; at += BLOCK_BYTES) {
    const [a, b] = pieces.map((piece) => piece.subarray(0, first.byteLength - at)) as [Buffer, Buffer]
    first.read(at, a)
    second.read(at, b)
    if (!a.equals(b))
      throw new VfioError('EIO', `Cannot trust this restore: memory differs after byte ${at}, report it`)
    if (at % (64 * BLOCK_BYTES) === 0) await turn()
  }
}

/** Signals are heard between two turns of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

async function flipBit(path: string): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    const { size } = await handle.stat()
    const byte = new Uint8Array(1)
    await handle.read(byte, 0, 1, Math.floor(size / 2))
    await handle.write(
      byte.map((value) => value ^ 0x10),
      0,
      1,
      Math.floor(size / 2),
    )
  } finally {
    await handle.close()
  }
}

/** How `verify` refuses a damaged stream; a stream that passes is the failure. */
async function refusal(path: string, options: { signal: AbortSignal }): Promise<Failure> {
  const report = await verify(fileSource(path), options).catch((error: unknown) => error)
  if (VfioError.is(report) && report.section !== undefined) return failureOf(report)
  throw report instanceof Error
    ? report
    : new VfioError('EIO', 'Cannot trust this verify: it took a flipped bit, report it')
}
