/**
 * What a bulk device holds and does: options that `send` and `serve` share.
 *
 * @module
 */

import { Option } from 'commander'
import type { BulkPattern, BulkWorkload } from '../devices/index.ts'
import { countOption } from './arguments.ts'
import { type DeviceSpec, noMemory } from './device-spec.ts'
import { UsageError } from './failure.ts'

/** Their values. */
export interface WorkloadOptions {
  readonly memory?: string
  readonly dirtyRate: number
  readonly pattern?: BulkPattern
}

const MAX_RATE = 0xffff_ffff
const PATTERNS: readonly BulkPattern[] = ['uniform', 'hot-set', 'sweep', 'burst']

/** `--memory`. */
export function memoryOption(): Option {
  return new Option('-m, --memory <file>', 'the bytes of this file are the memory of the bulk device')
}

/** `--memory`, `--dirty-rate` and `--pattern`. */
export function workloadOptions(): Option[] {
  return [
    memoryOption(),
    countOption('--dirty-rate <pages>', 'pages a second that the bulk device writes', 0, MAX_RATE).default(0),
    new Option('--pattern <name>', 'which pages it writes').choices(PATTERNS),
  ]
}

/** The workload as `createBulk` takes it. */
export function workloadOf({ dirtyRate, pattern }: WorkloadOptions): { workload?: BulkWorkload } {
  if (dirtyRate === 0) return {}
  return { workload: { pagesPerSecond: dirtyRate, ...(pattern === undefined ? {} : { pattern }) } }
}

/** @throws {@link UsageError} when they make no sense for the device */
export function checkWorkload(spec: DeviceSpec, { memory, dirtyRate, pattern }: WorkloadOptions): void {
  if (spec.type !== 'bulk' && (dirtyRate > 0 || pattern !== undefined))
    throw new UsageError(
      spec.type === 'module'
        ? 'Cannot give the device a workload: its module says what it does, use bulk'
        : `Cannot give ${spec.type} a workload: it has none, use bulk`,
    )
  checkMemoryFile(spec, memory)
  if (pattern !== undefined && dirtyRate === 0)
    throw new UsageError('Cannot follow a pattern: the device writes nothing, give a --dirty-rate')
}

/** @throws {@link UsageError} when the device's memory can not be that of a file */
export function checkMemoryFile(spec: DeviceSpec, memory: string | undefined): void {
  if (memory === undefined) return
  if (spec.type !== 'bulk') throw new UsageError(`Cannot take a file as memory: ${noMemory(spec)}, use bulk`)
  if (spec.size !== undefined || spec.seed !== undefined)
    throw new UsageError('Cannot take a file as memory: size and seed come from the file, leave them out')
}
