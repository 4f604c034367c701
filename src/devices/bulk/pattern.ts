/**
 * Workload patterns: which part of memory the workload writes, and when.
 *
 * | pattern | the record of a sequence number goes to |
 * |---|---|
 * | uniform | any slot below the reserved pages |
 * | hot-set | with `hotShare` a slot of the first `hotFraction` of the pages, else one of the others |
 * | sweep | the pages in order, one record a page, again and again; any slot of the page |
 * | burst | any slot, as uniform; all of a period's records in the first `burstMs` of it |
 *
 * @module
 */

import { VfioError } from '../../errors.ts'

/** How the workload writes, see {@link BulkWorkload}. */
export type BulkPattern = 'uniform' | 'hot-set' | 'sweep' | 'burst'

/** Pattern names; the PATTERN register holds the index. */
export const BULK_PATTERNS: readonly BulkPattern[] = ['uniform', 'hot-set', 'sweep', 'burst']

/** Fractions are kept in this many parts. */
export const FRACTION_PARTS = 65_536
/** Longest burst and longest period, ms. */
export const MAX_BURST_MS = 60_000
/** Most records a second. */
const MAX_RATE = 0xffff_ffff

/** Where the workload's records go. */
export interface BulkPlacement {
  /** Default 'uniform'. */
  readonly pattern?: BulkPattern
  /** hot-set: part of the pages that are hot, above 0 to 1, kept in 1/65536, at least one page; default 0.1. */
  readonly hotFraction?: number
  /** hot-set: part of the records that go there, 0 to 1, kept in 1/65536; default 0.9. */
  readonly hotShare?: number
  /** Any whole number, default 1; a bigint is cut to 64 bits. */
  readonly seed?: number | bigint
}

/** What the workload registers hold at power-on. */
export interface BulkWorkload extends BulkPlacement {
  /** Records written per second, each to a page of its own choice; an integer from 0. */
  readonly pagesPerSecond: number
  /** burst: length of a burst, 1 to 60,000 ms; default 100. */
  readonly burstMs?: number
  /** burst: from the start of a burst to that of the next, `burstMs` to 60,000 ms; default 1000. */
  readonly burstPeriodMs?: number
  /** Records written per second into the memory of peers, once linked; an integer from 0, default 0. */
  readonly p2pPagesPerSecond?: number
}

/** Register values of a workload. */
export interface WorkloadRegisters extends PlacementRegisters {
  readonly rate: number
  readonly burstMs: number
  readonly burstPeriodMs: number
  readonly p2pRate: number
}

/** Register values that decide where records go. */
export interface PlacementRegisters {
  readonly pattern: number
  readonly hotFraction: number
  readonly hotShare: number
  readonly seed: bigint
}

/**
 * The register values of a workload.
 *
 * @throws {@link VfioError} EINVAL when one is out of range
 */
export function workloadRegisters(workload: BulkWorkload): WorkloadRegisters {
  const { pagesPerSecond, burstMs = 100, burstPeriodMs = 1000, p2pPagesPerSecond = 0 } = workload
  return {
    ...placementRegisters(workload),
    rate: whole('pages per second', pagesPerSecond, 0, MAX_RATE),
    burstMs: whole('burst milliseconds', burstMs, 1, MAX_BURST_MS),
    burstPeriodMs: whole('burst period milliseconds', burstPeriodMs, burstMs, MAX_BURST_MS),
    p2pRate: whole('P2P pages per second', p2pPagesPerSecond, 0, MAX_RATE),
  }
}

/**
 * The register values that decide where records go.
 *
 * @throws {@link VfioError} EINVAL when one is out of range
 */
export function placementRegisters(placement: BulkPlacement): PlacementRegisters {
  const { pattern = 'uniform', hotFraction = 0.1, hotShare = 0.9, seed = 1 } = placement
  const index = BULK_PATTERNS.indexOf(pattern)
  if (index < 0)
    throw outOfRange(`pattern ${JSON.stringify(pattern)}`, `use one of ${BULK_PATTERNS.join(', ')}`)
  if (!(hotFraction > 0 && hotFraction <= 1))
    throw outOfRange(`hot fraction ${hotFraction}`, 'use a number above 0 and up to 1')
  if (!(hotShare >= 0 && hotShare <= 1)) throw outOfRange(`hot share ${hotShare}`, 'use a number of 0 to 1')
  if (typeof seed !== 'bigint') wholeSeed(seed)
  return {
    pattern: index,
    hotFraction: Math.max(1, Math.round(hotFraction * FRACTION_PARTS)),
    hotShare: Math.round(hotShare * FRACTION_PARTS),
    seed: BigInt.asUintN(64, BigInt(seed)),
  }
}

/** What was asked for, read back from the registers. */
export function workloadOf(registers: WorkloadRegisters): Required<BulkWorkload> {
  return {
    pagesPerSecond: registers.rate,
    pattern: BULK_PATTERNS[registers.pattern] ?? 'uniform',
    hotFraction: registers.hotFraction / FRACTION_PARTS,
    hotShare: registers.hotShare / FRACTION_PARTS,
    burstMs: registers.burstMs,
    burstPeriodMs: registers.burstPeriodMs,
    p2pPagesPerSecond: registers.p2pRate,
    seed: registers.seed,
  }
}

/**
 * A seed that numbers can hold.
 *
 * @throws {@link VfioError} EINVAL
 */
export function wholeSeed(seed: number): void {
  if (!Number.isSafeInteger(seed)) throw outOfRange(`seed ${seed}`, 'use a whole number')
}

function whole(what: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw outOfRange(`${what} ${value}`, `use an integer of ${min} to ${max}`)
}

function outOfRange(what: string, remedy: string): VfioError {
  return new VfioError('EINVAL', `Cannot set up bulk: ${what} is out of range, ${remedy}`)
}
