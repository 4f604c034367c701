/**
 * Which pages of which memory regions a stream has described: each must be, at least once.
 *
 * @module
 */

import type { Configuration } from './configuration.ts'
import { PAGE_BYTES } from './header.ts'

/** A memory region as CONFIG declares it: `memory.<index>.name` and `memory.<index>.bytes`. */
export interface RegionDeclaration {
  readonly name: string
  readonly byteLength: number
}

/** Most memory regions of a device. */
export const MAX_REGIONS = 64
/** Most bytes of memory of a device, all regions together: what one linear memory can hold. */
export const MAX_MEMORY_BYTES: number = 4 * 1024 ** 3

/** The CONFIG entries that declare memory regions. */
export function declareRegions(regions: readonly RegionDeclaration[]): Configuration {
  const entries: Record<string, number | string> = {}
  for (const [index, { name, byteLength }] of regions.entries()) {
    entries[`memory.${index}.name`] = name
    entries[`memory.${index}.bytes`] = byteLength
  }
  return entries
}

/** The regions that a CONFIG declares, or in words what is wrong with its declaration. */
export function declaredRegions(configuration: Configuration): RegionDeclaration[] | string {
  const regions: RegionDeclaration[] = []
  let total = 0
  for (let index = 0; ; index++) {
    const byteLength = configuration[`memory.${index}.bytes`]
    const name = configuration[`memory.${index}.name`]
    if (byteLength === undefined && name === undefined) return regions
    if (typeof byteLength !== 'number' || typeof name !== 'string')
      return `memory region ${index} is not declared by a text name and an integer of bytes`
    total += byteLength
    if (total > MAX_MEMORY_BYTES || index >= MAX_REGIONS)
      return `its memory regions pass ${MAX_REGIONS} regions or ${MAX_MEMORY_BYTES} bytes`
    regions.push({ name, byteLength })
  }
}

/** Pages described so far of one region; one bit a page. */
export class PageCoverage {
  readonly region: RegionDeclaration
  readonly pageCount: number
  readonly #seen: Uint32Array
  #left: number

  constructor(region: RegionDeclaration) {
    this.region = region
    this.pageCount = Math.ceil(region.byteLength / PAGE_BYTES)
    this.#seen = new Uint32Array(Math.ceil(this.pageCount / 32))
    this.#left = this.pageCount
  }

  /** Notes a run of pages inside the region. */
  add(first: number, count: number): void {
    // By words: a zero run of 48 stream bytes may name a million pages, again and again.
    const seen = this.#seen
    const end = first + count
    for (let page = first; page < end;) {
      const word = page >>> 5
      const wordEnd = Math.min(end, (word + 1) * 32)
      const mask = (0xffff_ffff >>> (32 - (wordEnd - page))) << (page & 31)
      const bits = seen[word] as number
      let unseen = mask & ~bits
      seen[word] = bits | mask
      for (; unseen !== 0; unseen &= unseen - 1) this.#left--
      page = wordEnd
    }
  }

  /** The first page that was never described, or -1. */
  get firstMissing(): number {
    if (this.#left === 0) return -1
    const word = this.#seen.findIndex((bits) => bits !== 0xffff_ffff)
    const unseen = ~(this.#seen[word] as number)
    return word * 32 + (31 - Math.clz32(unseen & -unseen))
  }

  /** How many pages were never described. */
  get missing(): number {
    return this.#left
  }
}
