/** Running intervals that processes wrote down, see `test/processes/recorded-driver.mjs`. @module */

import { existsSync, readFileSync } from 'node:fs'

/** A stretch of time in which a side may have run, CLOCK_MONOTONIC nanoseconds. */
export interface RunningInterval {
  readonly side: string
  readonly startNs: bigint
  /** Undefined while it runs. */
  readonly endNs: bigint | undefined
  readonly startSequence: bigint
  readonly endSequence: bigint | undefined
}

/** The intervals of one file; one that is open ends when its process was gone. */
export function readIntervals(path: string, side: string, goneNs: bigint | undefined): RunningInterval[] {
  if (!existsSync(path)) return []
  const intervals: RunningInterval[] = []
  let open: { startNs: bigint; startSequence: bigint } | undefined
  for (const line of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    const [what, time = '', sequence = ''] = line.split(' ')
    if (what === 'start') open = { startNs: BigInt(time), startSequence: BigInt(sequence) }
    else if (what !== 'commit' && open !== undefined) {
      intervals.push({ side, ...open, endNs: BigInt(time), endSequence: BigInt(sequence) })
      open = undefined
    }
  }
  if (open !== undefined) intervals.push({ side, ...open, endNs: goneNs, endSequence: undefined })
  return intervals
}

/** When COMMIT was begun last, if it ever was. */
export function commitTime(path: string): bigint | undefined {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
  const line = lines.filter((text) => text.startsWith('commit')).at(-1)
  return line === undefined ? undefined : BigInt(line.split(' ')[1] ?? '')
}

/** Two sides that ran at one instant, if there were any. */
export function overlap(
  intervals: readonly RunningInterval[],
): [RunningInterval, RunningInterval] | undefined {
  for (const a of intervals)
    for (const b of intervals)
      if (a.side < b.side && startsBefore(a, b.endNs) && startsBefore(b, a.endNs)) return [a, b]
  return undefined
}

function startsBefore({ startNs }: RunningInterval, endNs: bigint | undefined): boolean {
  return endNs === undefined || startNs < endNs
}
