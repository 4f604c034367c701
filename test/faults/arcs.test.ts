/** Every arc of a device that fails, on either side; and sessions that fail at a byte. */

import { afterAll, describe, it } from 'vitest'
import { arcs } from '../../src/fsm/index.ts'
import type { ArcName, Faults } from '../../src/testing/index.ts'
import { deviceStateName } from '../../src/uapi/state.ts'
import { runMatrix, sampled, Tally } from '../support/fault-matrix.ts'
import type { MigrationCase } from '../support/migration-case.ts'

const tally = new Tally('arcs and sessions')
afterAll(() => tally.print())

type Case = MigrationCase & { readonly kind: string }

const ARCS = arcs(7).map(({ from, to }) => `${deviceStateName(from)}->${deviceStateName(to)}` as ArcName)

/** Devices of one side, and which of them fails. */
const SETS: Readonly<Record<string, { devices: ('bulk' | 'mtty')[]; faulty: number }>> = {
  bulk: { devices: ['bulk'], faulty: 0 },
  mtty: { devices: ['mtty'], faulty: 0 },
  'first of two bulk': { devices: ['bulk', 'bulk'], faulty: 0 },
  'second of two bulk': { devices: ['bulk', 'bulk'], faulty: 1 },
  'second of three bulk': { devices: ['bulk', 'bulk', 'bulk'], faulty: 1 },
}

const WAYS: Readonly<Record<string, Partial<Faults>>> = {
  once: { times: 1 },
  always: {},
  'once, into ERROR': { times: 1, toError: true },
  'always, into ERROR': { toError: true },
  'always, and so does the reset': { failReset: true },
  'into ERROR, and the reset fails': { toError: true, failReset: true },
}

/** Bytes of a stream where a session fails. */
const OFFSETS = [0, 1, 24, 63, 64, 500, 4_096, 33_000, 65_536]

function cases(): Case[] {
  const all: Case[] = []
  for (const [set, { devices, faulty }] of Object.entries(SETS))
    for (const side of ['source', 'destination'] as const) {
      const add = (kind: string, what: string, faults: Faults): void => {
        const list = devices.map((_, index) => (index === faulty ? faults : undefined))
        all.push({
          kind: `${side}: ${kind}`,
          name: `${side}, ${set}: ${what}`,
          devices,
          ...(side === 'source' ? { sourceFaults: list } : { destinationFaults: list }),
        })
      }
      for (const failAt of ARCS)
        for (const [way, faults] of Object.entries(WAYS))
          add(failAt, `${failAt} fails ${way}`, { failAt, ...faults })
      for (const at of OFFSETS) {
        if (side === 'source') add('reading', `a read fails at ${at}`, { failRead: at })
        else add('writing', `a write fails at ${at}`, { failWrite: at })
      }
      add('reset', 'every reset fails', { failReset: true })
    }
  return all
}

/** What makes the other faults matter: a migration that is unwound, early, late or after COMMIT. */
const UNWOUND: Readonly<Record<string, Partial<Case>>> = {
  'the destination fails to load': { destinationFaults: [{ failAt: 'RESUMING->STOP' }] },
  'the destination fails to start': { destinationFaults: [{ failAt: 'STOP->RUNNING_P2P' }] },
  'cut in pre-copy': {
    fate: ({ name, direction }) => (name === 'DATA' && direction === 'to' ? 'cut-before' : 'pass'),
  },
  'cut at END': { fate: ({ name }) => (name === 'END' ? 'cut-before' : 'pass') },
}
const UNWINDING: readonly ArcName[] = [
  'PRE_COPY->RUNNING',
  'PRE_COPY_P2P->RUNNING_P2P',
  'PRE_COPY_P2P->STOP_COPY',
  'STOP_COPY->STOP',
  'STOP->RUNNING_P2P',
  'RUNNING_P2P->RUNNING',
]
const STARTING: readonly ArcName[] = [
  'STOP->RUNNING_P2P',
  'RUNNING_P2P->RUNNING',
  'RUNNING->RUNNING_P2P',
  'RUNNING_P2P->STOP',
]

/** A second failure while the first one is made good. */
function unwoundCases(): Case[] {
  const all: Case[] = []
  for (const [cause, options] of Object.entries(UNWOUND))
    for (const [set, { devices, faulty }] of Object.entries(SETS))
      for (const failAt of UNWINDING)
        for (const [way, faults] of Object.entries(WAYS))
          all.push({
            ...options,
            devices,
            kind: `source, unwound: ${failAt}`,
            name: `${cause}, ${set}: ${failAt} fails ${way}`,
            sourceFaults: devices.map((_, index) => (index === faulty ? { failAt, ...faults } : undefined)),
          })
  // One device fails on the way up, the other on the way back.
  for (const first of STARTING)
    for (const second of STARTING)
      for (const [way, faults] of Object.entries(WAYS))
        for (const isSwapped of [false, true]) {
          const list: Faults[] = [{ failAt: first, ...faults }, { failAt: second }]
          all.push({
            devices: ['bulk', 'bulk'],
            kind: 'destination, two fail to start',
            name: `${first} ${way}, ${second} always${isSwapped ? ', the other way round' : ''}`,
            destinationFaults: isSwapped ? [{ failAt: second }, { failAt: first, ...faults }] : list,
          })
        }
  return all
}

describe('a device that fails', () => {
  it('at any arc, on either side, leaves one side that runs, or none that could', async () => {
    await runMatrix(tally, sampled(cases(), 160))
  }, 1_800_000)

  it('while another failure is made good leaves no device behind that another could reach', async () => {
    await runMatrix(tally, sampled(unwoundCases(), 120))
  }, 1_800_000)
})
