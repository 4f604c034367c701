/** The connection cut at every frame and at bytes inside, in each direction, told and untold. */

import { afterAll, describe, it } from 'vitest'
import { FaultyDuplex } from '../../src/testing/index.ts'
import type { Fate } from '../support/faulty-link.ts'
import { random, runMatrix, sampled, Tally } from '../support/fault-matrix.ts'
import { type MigrationCase, runCase } from '../support/migration-case.ts'

const tally = new Tally('cuts')
afterAll(() => tally.print())

type Case = MigrationCase & { readonly kind: string }

const MIGRATIONS: Readonly<Record<string, Partial<MigrationCase>>> = {
  'one bulk': {},
  'one bulk, three connections': { connections: 3 },
  'one mtty': { devices: ['mtty'] },
  'two bulk': { devices: ['bulk', 'bulk'] },
}
const FATES = ['cut-before', 'cut-after', 'cut-way', 'black-hole'] as const satisfies readonly Fate[]
const CUTS = ['both', 'one', 'silent'] as const
const SETTLEMENTS = ['ask', 'both-tickets', 'timeout'] as const

/** How many frames and bytes each direction of each connection has. */
async function measured(
  options: Partial<MigrationCase>,
): Promise<{ connection: number; direction: 'to' | 'back'; frames: number; bytes: number }[]> {
  const { link } = await runCase({ name: 'measured', ...options })
  return Array.from({ length: options.connections ?? 1 }, (_, connection) =>
    (['to', 'back'] as const).map((direction) => {
      const frames = link.frames.filter(
        (frame) => frame.connection === connection && frame.direction === direction,
      )
      const last = frames.at(-1)
      const bytes = last === undefined ? 0 : last.offset + 64 + last.payloadBytes
      return { connection, direction, frames: frames.length, bytes }
    }),
  ).flat()
}

describe('a connection that is cut', () => {
  it('at any frame leaves one side that runs, or a hand-over that can be settled', async () => {
    const all: Case[] = []
    for (const [migration, options] of Object.entries(MIGRATIONS))
      for (const { connection, direction, frames } of await measured(options))
        for (let number = 0; number < frames; number++)
          for (const fate of FATES) {
            const at = `frame ${number} ${direction}, connection ${connection}`
            all.push({
              ...options,
              kind: `${fate} a frame ${direction}`,
              name: `${migration}: ${fate} ${at}`,
              fate: (frame) =>
                frame.connection === connection && frame.direction === direction && frame.number === number
                  ? fate
                  : 'pass',
              settleBy: SETTLEMENTS[all.length % SETTLEMENTS.length] as (typeof SETTLEMENTS)[number],
            })
          }
    await runMatrix(tally, sampled(all, 90))
  }, 1_800_000)

  it('at any byte leaves one side that runs, or a hand-over that can be settled', async () => {
    const all: Case[] = []
    const next = random(4)
    for (const [migration, options] of Object.entries(MIGRATIONS))
      for (const { connection, direction, bytes } of await measured(options)) {
        // A tiny migration at every byte, a larger one at random ones and around its end.
        const places =
          migration === 'one mtty'
            ? Array.from({ length: bytes }, (_, at) => at)
            : Array.from({ length: 40 }, (_, n) =>
                n < 20 ? Math.floor(next() * bytes) : bytes - 1 - 13 * (n - 20),
              )
        for (const cutAt of places) {
          const cuts = migration === 'one mtty' ? [CUTS[cutAt % 3] as (typeof CUTS)[number]] : CUTS
          for (const cut of cuts) {
            const isOurs = (which: number): boolean => which === connection
            all.push({
              ...options,
              kind: `${cut === 'both' ? 'both ways' : cut === 'one' ? 'one way' : 'untold'}, at a byte ${direction}`,
              name: `${migration}: ${cut} at byte ${cutAt} ${direction}, connection ${connection}`,
              // Over a socket either end notices: half of the cuts are at the source's end.
              ...(direction === 'to'
                ? {
                    sourceEnd: (end, which) =>
                      isOurs(which) ? new FaultyDuplex(end, { write: { cutAt }, cut }) : end,
                  }
                : {
                    destinationEnd: (end, which) =>
                      isOurs(which) ? new FaultyDuplex(end, { write: { cutAt }, cut }) : end,
                  }),
              settleBy: SETTLEMENTS[all.length % SETTLEMENTS.length] as (typeof SETTLEMENTS)[number],
            })
          }
        }
      }
    await runMatrix(tally, sampled(all, 120))
  }, 1_800_000)
})
