/**
 * What is fixed about a defined device: its layout, its configuration at every version, its size.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { xxh3OfBytes } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import {
  type ChecksumKind,
  type Configuration,
  type ConfigurationValue,
  configurationFingerprint,
  declareRegions,
  FRAME_BYTES,
  MAX_MEMORY_BYTES,
  MAX_REGIONS,
  PAGE_BYTES,
  TYPE_BYTES,
} from '../format/index.ts'
import { type Compression, COMPRESSIONS, STAGING_BYTES } from './compressed-frames.ts'
import { compileLayout, describeLayout, type Layout, packedBytes } from './layout.ts'
import type { ForeignMemory } from './foreign-memory.ts'
import { FOREIGN_STAGING_BYTES } from './foreign-pages.ts'
import type { RegionOptions } from './memory-region.ts'
import { recordBytes, type Tracking, TRACKINGS } from './page-record.ts'
import type { Schema } from './schema.ts'

/** The parts of a definition that decide what a stream looks like. */
export interface DeviceShape {
  readonly type: string
  readonly version: number
  readonly state: Schema
  readonly memory?: Readonly<Record<string, MemoryDefinition>>
  readonly configuration?: Readonly<Record<string, ConfigurationValue>>
  readonly checksum?: ChecksumKind
  readonly compression?: Compression
}

/** A memory region of a definition. */
export interface MemoryDefinition {
  /** Any size from 0, also no multiple of a page. */
  readonly byteLength: number
  /** How the pages are found that the device wrote, default 'marked'; see {@link Tracking}. */
  readonly tracking?: Tracking
  /**
   * The address of the region as DMA logging sees it, a multiple of 4096: pages found written, in any of
   * the ways, show in the device's log (`dirtyLog`, a {@link DirtyLog}, by default one of its own).
   */
  readonly iova?: bigint
  /** Set by `wrapMemory`, and by nothing else. */
  readonly foreign?: ForeignMemory
}

/** The compiled definition. */
export class DeviceBlueprint {
  readonly type: string
  readonly version: number
  readonly checksum: ChecksumKind
  readonly compression: Compression
  readonly layout: Layout
  readonly regions: readonly RegionOptions[]
  readonly identity: DeviceIdentity
  readonly #configuration: Configuration

  /** EINVAL when the definition makes no sense. */
  constructor(shape: DeviceShape) {
    this.type = shape.type
    this.version = shape.version
    this.checksum = shape.checksum ?? 'xxh3'
    this.compression = shape.compression ?? 'none'
    const refuse = (reason: string): never => {
      throw new VfioError('EINVAL', `Cannot define device "${shape.type}": ${reason}`)
    }
    const typeBytes = new TextEncoder().encode(shape.type).length
    if (typeBytes === 0 || typeBytes > TYPE_BYTES || shape.type.includes('\0'))
      refuse(`its type has ${typeBytes} bytes of UTF-8, use 1 to ${TYPE_BYTES} without NUL`)
    if (!Number.isInteger(shape.version) || shape.version < 1 || shape.version > 0xffff_ffff)
      refuse(`version ${shape.version} is out of range, use an integer from 1`)
    if (!COMPRESSIONS.includes(this.compression))
      refuse(`compression "${this.compression}" is unknown, use one of ${COMPRESSIONS.join(', ')}`)
    this.layout = compileLayout(shape.state, shape.version)
    this.regions = Object.entries(shape.memory ?? {}).map(([name, region]) => ({ ...region, name }))
    for (const { name, byteLength, tracking = 'marked', iova = 0n } of this.regions) {
      if (!Number.isSafeInteger(byteLength) || byteLength < 0)
        refuse(`memory "${name}" has ${byteLength} bytes, use an integer from 0`)
      if (!TRACKINGS.includes(tracking))
        refuse(`memory "${name}" has tracking "${tracking}", use one of ${TRACKINGS.join(', ')}`)
      if (iova % BigInt(PAGE_BYTES) !== 0n || iova < 0n || iova + BigInt(byteLength) > 2n ** 64n)
        refuse(`memory "${name}" is at ${iova}, use a multiple of ${PAGE_BYTES} below 2^64`)
    }
    if (this.memoryBytes > MAX_MEMORY_BYTES || this.regions.length > MAX_REGIONS)
      refuse(`its memory passes ${MAX_MEMORY_BYTES} bytes or ${MAX_REGIONS} regions, use less`)
    this.#configuration = shape.configuration ?? {}
    for (const name of Object.keys(this.#configuration))
      if (name.startsWith('memory.') || name.startsWith('state.'))
        refuse(`option "${name}" has a reserved name, use one without "memory." and "state."`)
    const configuration = this.configurationAt(shape.version)
    this.identity = {
      type: shape.type,
      version: shape.version,
      fingerprint: configurationFingerprint(configuration),
      stream: 'stopcopy',
      configuration,
    }
  }

  /** Bytes of all memory regions. */
  get memoryBytes(): number {
    return this.regions.reduce((total, { byteLength }) => total + byteLength, 0)
  }

  /** Bytes of the memory regions that lie in the engine, and of what foreign ones are staged through. */
  get residentBytes(): number {
    return this.regions.reduce(
      (total, { byteLength, foreign }) =>
        total + (foreign === undefined ? byteLength : FOREIGN_STAGING_BYTES),
      0,
    )
  }

  /** What an engine for this device alone needs: memory, bitmaps, state, programs, a session's frames. */
  get engineBytes(): number {
    const state = 4 * this.layout.liveBytes
    // A region that DMA logging sees needs a second record while logging is on.
    const records = this.regions.reduce(
      (total, { byteLength, tracking = 'marked', iova, foreign }) =>
        foreign?.inPlace === true
          ? total
          : total + (iova === undefined ? 1 : 2) * align(recordBytes(tracking, byteLength)),
      0,
    )
    const bitmaps = 2 * Math.ceil(this.memoryBytes / 32_768)
    const frames = 8 * FRAME_BYTES + (this.compression === 'none' ? 0 : STAGING_BYTES)
    return this.residentBytes + records + bitmaps + state + frames + 1024 * 1024
  }

  /** What CONFIG says at a version of the state. */
  configurationAt(version: number): Configuration {
    const layout = new TextEncoder().encode(describeLayout(this.layout, version))
    return {
      ...this.#configuration,
      ...declareRegions(this.regions),
      'state.bytes': this.stateBytesAt(version),
      'state.layout': xxh3OfBytes(layout),
    }
  }

  /** Bytes of packed state at a version. */
  stateBytesAt(version: number): number {
    return packedBytes(this.layout.parts, version)
  }
}

function align(byteLength: number): number {
  return Math.ceil(byteLength / PAGE_BYTES) * PAGE_BYTES
}
