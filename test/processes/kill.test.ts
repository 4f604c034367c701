import { describe, expect, it } from 'vitest'
import { killPlan, killRound, type KillOutcome, outcomeTable } from '../support/kill-round.ts'
import { seededRandom } from '../support/seeded-random.ts'

const isLong = process.env['STOPCOPY_LONG'] === '1'
const ROUNDS = isLong ? 200 : 21
const SEED = Number(process.env['STOPCOPY_SEED'] ?? 1)

describe('kill -9 of one end of a migration', () => {
  it(
    'leaves one owner or none, at any moment, and never two',
    async () => {
      const random = seededRandom(SEED)
      const outcomes: KillOutcome[] = []
      const faults: unknown[] = []
      for (let index = 0; index < ROUNDS; index++) {
        const plan = killPlan(index, random)
        const outcome = await killRound(plan)
        outcomes.push(outcome)
        if (outcome.faults.length > 0) faults.push({ index, plan, outcome })
      }
      if (isLong) console.log(outcomeTable(outcomes))
      expect(faults).toEqual([])
    },
    isLong ? 3_600_000 : 300_000,
  )
})
