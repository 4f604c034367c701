/** Every message of a migration lost, repeated, late or damaged, in both directions. */

import { afterAll, describe, expect, it } from 'vitest'
import type { Fate, PassingFrame } from '../support/faulty-link.ts'
import { BACK_TO_SOURCE, TO_DESTINATION } from '../support/faulty-link.ts'
import { runMatrix, sampled, Tally } from '../support/fault-matrix.ts'
import type { MigrationCase } from '../support/migration-case.ts'

const tally = new Tally('messages')
afterAll(() => tally.print())

type Case = MigrationCase & {
  readonly kind: string
  /** Nothing is in the way that a repetition does not put right. */
  readonly isHarmless: boolean
}

/** What can happen to a message. Answers are due within 200 ms, requests are repeated after 30. */
const MISHAPS: Readonly<Record<string, { readonly fate: Fate; readonly always?: true }>> = {
  'lost once': { fate: 'lose' },
  'lost always': { fate: 'lose', always: true },
  repeated: { fate: 'twice' },
  'repeated always': { fate: 'twice', always: true },
  'late, beyond the resend time': { fate: { delayMs: 70 } },
  'late, beyond the reply timeout': { fate: { delayMs: 320 } },
  'overtaken, beyond the resend time': { fate: { overtakenForMs: 70 } },
  'overtaken, beyond the reply timeout': { fate: { overtakenForMs: 320 } },
  'header damaged': { fate: 'damage-header' },
  'payload damaged': { fate: 'damage-payload' },
  'nothing gets through after it': { fate: 'black-hole' },
}

const HARMLESS = ['lost once', 'repeated', 'repeated always', 'late, beyond the resend time']
/** Sent once: on a connection that keeps its bytes they cannot get lost. */
const SENT_ONCE = ['DATA', 'ATTACH']

const SETTLEMENTS = ['ask', 'both-tickets', 'timeout'] as const

/** The migrations that the mishaps come over: one that works, and for each end one that fails. */
const MIGRATIONS: Readonly<Record<string, Partial<MigrationCase>>> = {
  'one bulk': {},
  'one bulk, three connections': { connections: 3 },
  'one mtty': { devices: ['mtty'] },
  'two bulk': { devices: ['bulk', 'bulk'] },
  'source gives up': { sourceFaults: [{ failAt: 'PRE_COPY->STOP_COPY', times: 1 }] },
  'destination fails': { destinationFaults: [{ failAt: 'RESUMING->STOP' }] },
  'destination refuses': { destinationFaults: [{ failAt: 'STOP->RESUMING' }] },
  'destination cannot start': { destinationFaults: [{ failAt: 'STOP->RUNNING_P2P' }] },
}

function cases(): Case[] {
  const all: Case[] = []
  for (const [migration, options] of Object.entries(MIGRATIONS))
    for (const [direction, names] of [
      ['to', TO_DESTINATION],
      ['back', BACK_TO_SOURCE],
    ] as const)
      for (const name of names)
        for (const [mishap, { fate, always }] of Object.entries(MISHAPS)) {
          const hits = (frame: PassingFrame): boolean =>
            frame.direction === direction && frame.name === name && (always === true || frame.nth === 0)
          const isHarmless =
            HARMLESS.includes(mishap) &&
            !(mishap === 'lost once' && SENT_ONCE.includes(name)) &&
            options.sourceFaults === undefined &&
            options.destinationFaults === undefined
          const decides = name === 'COMMIT' || name === 'RUNNING' || name === 'FAILED' || name === 'DISCARDED'
          for (const settleBy of decides ? SETTLEMENTS : (['ask'] as const))
            all.push({
              ...options,
              // A slow machine must not decide where nothing is in the way.
              ...(isHarmless
                ? {
                    migrate: { replyTimeoutMs: 8000 },
                    receive: { helloTimeoutMs: 2000, idleTimeoutMs: 8000, lingerMs: 2000 },
                  }
                : {}),
              kind: `${name} ${mishap}`,
              isHarmless,
              name: `${migration}: ${name} ${mishap}${decides ? `, settled by ${settleBy}` : ''}`,
              fate: (frame) => (hits(frame) ? fate : 'pass'),
              settleBy,
            })
        }
  return all
}

describe('a message that is', () => {
  it('lost, repeated, late or damaged never makes both sides run, and loses nothing', async () => {
    const all = cases()
    await runMatrix(tally, sampled(all, 160), ({ outcome, error }, { name, isHarmless }) => {
      if (isHarmless) expect(outcome, `${name}: ${error?.message}`).toBe('migrated')
    })
  }, 1_800_000)
})
