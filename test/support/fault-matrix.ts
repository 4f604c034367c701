/**
 * Many migrations with something in their way: runs them, counts how they ended, and looks for leaks.
 *
 * @module
 */

import { expect } from 'vitest'
import { defaultEngine } from '../../src/engine/index.ts'
import { type CaseResult, type MigrationCase, runCase } from './migration-case.ts'

/** With STOPCOPY_LONG=1 every case runs; else a sample that takes seconds. */
export const IS_LONG: boolean = process.env['STOPCOPY_LONG'] === '1'

/** Cases that run side by side: they mostly wait for their timeouts. */
const SIDE_BY_SIDE = 8

/** How often each kind of case ended how. */
export class Tally {
  readonly #title: string
  readonly #rows = new Map<string, Map<string, number>>()
  #total = 0

  constructor(title: string) {
    this.#title = title
  }

  add(kind: string, outcome: string): void {
    const row = this.#rows.get(kind) ?? new Map<string, number>()
    this.#rows.set(kind, row)
    row.set(outcome, (row.get(outcome) ?? 0) + 1)
    this.#total++
  }

  /** Cases of a kind with an outcome. */
  count(kind: string, outcome: string): number {
    return this.#rows.get(kind)?.get(outcome) ?? 0
  }

  print(): void {
    const lines = [...this.#rows].map(([kind, outcomes]) => {
      const total = [...outcomes.values()].reduce((sum, count) => sum + count, 0)
      const parts = [...outcomes].map(([outcome, count]) => `${outcome} ${count}`)
      return `| ${kind} | ${total} | ${parts.join(', ')} |`
    })
    console.log(
      [
        `${this.#title}: ${this.#total} cases`,
        '| kind | cases | how they ended |',
        '| --- | --- | --- |',
        ...lines,
      ].join('\n'),
    )
  }
}

/**
 * Runs the cases, some side by side, counts them under `kind`, and checks that nothing is left of them.
 *
 * @throws the failures of all cases, in one error
 */
export async function runMatrix<Case extends MigrationCase & { readonly kind: string }>(
  tally: Tally,
  cases: readonly Case[],
  check: (result: CaseResult, which: Case) => void = () => {},
  sideBySide: number = SIDE_BY_SIDE,
): Promise<void> {
  const engine = await defaultEngine()
  const bytes = engine.allocatedBytes
  const resources = activeResources()
  const failures: string[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let each = cases[next++]; each !== undefined; each = cases[next++]) {
      try {
        const result = await runCase(each)
        tally.add(each.kind, result.outcome)
        check(result, each)
      } catch (error) {
        tally.add(each.kind, 'BROKEN')
        failures.push(error instanceof Error ? error.message : String(error))
      }
    }
  }
  await Promise.all(Array.from({ length: sideBySide }, work))
  expect(failures.join('\n\n')).toBe('')
  expect(engine.allocatedBytes, 'memory of the shared engine').toBe(bytes)
  await expectResources(resources)
}

/** A share of `cases`, the same each time, spread over all of them; all of them in a long run. */
export function sampled<T>(cases: readonly T[], most: number): readonly T[] {
  if (IS_LONG || cases.length <= most) return cases
  const step = cases.length / most
  return Array.from({ length: most }, (_, at) => cases[Math.floor(at * step + (at % 7) * (step / 7))] as T)
}

/** Timers, sockets and the like of this process. */
export function activeResources(): string[] {
  return process.getActiveResourcesInfo()
}

/** Waits, briefly, until there is no more than before: closing takes some turns of the event loop. */
export async function expectResources(before: readonly string[]): Promise<void> {
  const end = performance.now() + 1500
  const extra = (): string[] => {
    const left = [...before]
    return activeResources().filter((name) => {
      const at = left.indexOf(name)
      if (at < 0) return true
      left.splice(at, 1)
      return false
    })
  }
  while (extra().length > 0 && performance.now() < end)
    await new Promise((resolve) => setTimeout(resolve, 10))
  // The runner has a timer of its own now and then.
  expect(extra().filter((name) => name !== 'Timeout' && name !== 'Immediate')).toEqual([])
  expect(extra().filter((name) => name === 'Timeout').length).toBeLessThanOrEqual(1)
}

/** Pseudo-random numbers below 1, the same for a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
