/** One migration between two processes of which one is killed, and what became of the device. @module */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HandoverOutcome } from '../../src/migrate/index.ts'
import { type EndSetup, MigrationProcess, type MigrateResult } from './migration-process.ts'
import { commitTime, overlap, readIntervals, type RunningInterval } from './running-intervals.ts'

const MEMORY_BYTES = 32 * 2 ** 20
const WORKLOAD = { pagesPerSecond: 5000 }
const SEED = 7
/** A ready destination gives up after so long. */
const READY_TIMEOUT_MS = 700
const STOPPED = 1
const RUNNING = 2

/** Phases of the source that a kill follows, and how long after they began it may come, ms. */
const SPREAD = { setup: 12, precopy: 160, stop: 14, drain: 10, load: 16, commit: 20, done: 25 } as const
export type KillPhase = keyof typeof SPREAD

/** When who is killed, and what the caller decides where it must. */
export interface KillPlan {
  readonly victim: 'source' | 'destination'
  readonly trigger: KillPhase
  readonly delayMs: number
  readonly slow: Readonly<Record<string, number>>
  readonly verdict: 'run' | 'discard' | 'none'
}

/** What a round came to. */
export interface KillOutcome {
  readonly victim: string
  /** The last phase of the source that was heard of when the kill came. */
  readonly phase: string
  readonly owner: 'source' | 'destination' | 'none'
  readonly how: string
  /** What is not as it must be; empty when all is well. */
  readonly faults: readonly string[]
}

/** The plan of round `index`: all phases and both victims in turn, the rest from `random` (0 to 1). */
export function killPlan(index: number, random: () => number): KillPlan {
  const phases = Object.keys(SPREAD) as KillPhase[]
  const trigger = phases[index % phases.length] as KillPhase
  const slowMs = (): number => (random() < 0.5 ? 0 : Math.round(random() * 12))
  return {
    victim: Math.floor(index / phases.length) % 2 === 0 ? 'source' : 'destination',
    trigger,
    delayMs: random() * SPREAD[trigger],
    // PRE_COPY_P2P or PRE_COPY to STOP_COPY at the source; load, and the two start arcs at the destination.
    slow: { '7-3': slowMs(), '4-1': slowMs(), '1-5': slowMs(), '5-2': slowMs() },
    verdict: (['run', 'discard', 'none'] as const)[Math.floor(random() * 3)] ?? 'none',
  }
}

/** Plays a plan. */
export async function killRound(plan: KillPlan): Promise<KillOutcome> {
  const directory = mkdtempSync(join(tmpdir(), 'stopcopy-kill-'))
  const round = new Round(plan, directory)
  try {
    return await round.play()
  } finally {
    await round.end()
    rmSync(directory, { recursive: true, force: true })
  }
}

class Round {
  readonly #plan: KillPlan
  readonly #path: (name: string) => string
  readonly #faults: string[] = []
  readonly #processes: MigrationProcess[] = []
  #source!: MigrationProcess
  #destination!: MigrationProcess
  /** The caller let one side run: only it knows that the other does not. */
  #byVerdict = false

  constructor(plan: KillPlan, directory: string) {
    this.#plan = plan
    this.#path = (name) => join(directory, name)
  }

  async play(): Promise<KillOutcome> {
    const { victim, trigger, delayMs } = this.#plan
    ;[this.#source, this.#destination] = await Promise.all([
      this.#start('source'),
      this.#start('destination'),
    ])
    const migrating = this.#source.command<MigrateResult>('migrate', {
      to: this.#url,
      options: { downtimeLimitMs: 300, replyTimeoutMs: 3000, resendMs: 200 },
    })
    if (trigger !== 'setup') await this.#source.event(({ phase }) => phase === trigger)
    await new Promise((resolve) => setTimeout(resolve, delayMs))
    const phase = this.#source.events.filter(({ event }) => event === 'phase').at(-1)?.phase ?? 'setup'
    const killed = victim === 'source' ? this.#source : this.#destination
    killed.kill()
    await killed.gone
    const result = await migrating
    const [owner, how] =
      victim === 'source' ? await this.#afterSourceDied() : await this.#afterDestinationDied(result)
    this.#checkIntervals(owner)
    return { victim, phase, owner, how, faults: this.#faults }
  }

  async end(): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.end()))
  }

  get #url(): string {
    return `unix:${this.#path('socket')}`
  }

  async #start(role: EndSetup['role'], log: string = role): Promise<MigrationProcess> {
    const setup = { role, memoryBytes: MEMORY_BYTES, seed: SEED, workload: WORKLOAD, slow: this.#plan.slow }
    const started = await MigrationProcess.start({
      ...setup,
      log: this.#path(`${log}.log`),
      ...(role === 'destination'
        ? {
            listen: this.#url,
            ticketPath: this.#path('ticket'),
            receive: { readyTimeoutMs: READY_TIMEOUT_MS, lingerMs: 500 },
          }
        : {}),
    })
    this.#processes.push(started)
    return started
  }

  /** The destination lives: it runs, or it never will. */
  async #afterSourceDied(): Promise<['destination' | 'none', string]> {
    const destination = this.#destination
    const ticket = this.#ticket
    // A turn or two of its event loop: what the source had connected is known then.
    for (let asked = 0; asked < 2; asked++) await destination.command('state')
    if (!destination.events.some(({ event }) => event === 'connection'))
      return this.#destinationStopped('it had not connected')
    if (ticket?.phase === 'ready' && this.#plan.verdict !== 'none' && !destination.events.some(isOutcome)) {
      const { verdict } = this.#plan
      const decided = await destination.command<HandoverOutcome>('resolve', { ticket, verdict })
      // The COMMIT, or the timeout, may have come before the decision.
      this.#byVerdict = decided?.owner === 'destination'
      if (decided?.owner === 'destination') return this.#destinationRuns('the caller let it run')
      if (decided?.owner === 'none') return this.#destinationStopped('the caller discarded it')
    }
    const end = await destination.event(isOutcome)
    if (end?.event === 'received' && end.owner === 'destination')
      return this.#destinationRuns('it had COMMIT')
    if (end === undefined || end.event === 'received') this.#faults.push(`destination is ${end?.owner}`)
    return this.#destinationStopped(end?.code === 'ETIMEDOUT' ? 'ready, no COMMIT in time' : 'before READY')
  }

  async #destinationRuns(how: string): Promise<['destination', string]> {
    await this.#verify(this.#destination)
    return ['destination', how]
  }

  async #destinationStopped(how: string): Promise<['none', string]> {
    const now = await this.#destination.command<{ state: number }>('state')
    if (now?.state !== STOPPED) this.#faults.push(`a destination that gave up is in state ${now?.state}`)
    if (this.#ticket !== undefined) this.#faults.push('a ticket is left of a hand-over that is settled')
    return ['none', how]
  }

  /** The source lives: it runs, unless the device was the destination's and died with it. */
  async #afterDestinationDied(result: MigrateResult | undefined): Promise<['source' | 'none', string]> {
    const committed = this.#source.events.some(({ phase }) => phase === 'commit')
    if (result?.owner === 'destination') return ['none', 'it had said RUNNING']
    if (result?.ticket !== undefined && committed) return this.#settle(result)
    if (result?.code === undefined || (result.owner ?? 'source') !== 'source')
      this.#faults.push(`without COMMIT the source says ${JSON.stringify(result)}`)
    await this.#verify(this.#source)
    return ['source', `it goes on: ${result?.code}`]
  }

  /** Both are stopped: the destination is started again, and asked. */
  async #settle({ ticket }: MigrateResult): Promise<['source' | 'none', string]> {
    const source = this.#source
    const stopped = await source.command<{ state: number }>('state')
    if (stopped?.state === RUNNING) this.#faults.push('the source runs while it is undecided')
    const onDisk = this.#ticket
    await this.#start('destination', 'restarted')
    const asked = await source.command<HandoverOutcome & { code?: string }>('resolve', {
      ticket,
      to: this.#url,
    })
    const found = onDisk === undefined ? 'no ticket' : `'${onDisk.phase}' ticket`
    if (asked?.owner === 'source') {
      if (onDisk?.phase !== 'ready') this.#faults.push(`the source runs on by ${found}`)
      await this.#verify(source)
      return ['source', `${found}: DISCARDED`]
    }
    if (asked?.owner !== 'undecided' || onDisk?.phase === 'ready')
      this.#faults.push(`with ${found} asking gave ${asked?.owner ?? asked?.code}`)
    // The process that had the device is gone: nothing of it runs any more.
    const verdict = this.#plan.verdict === 'run' ? 'run' : 'discard'
    this.#byVerdict = verdict === 'run'
    const decided = await source.command<HandoverOutcome>('resolve', { ticket, verdict })
    if (decided?.owner !== (verdict === 'run' ? 'source' : 'none'))
      this.#faults.push(`the verdict "${verdict}" gave ${JSON.stringify(decided)}`)
    if (verdict === 'run') await this.#verify(source)
    return [verdict === 'run' ? 'source' : 'none', `${found}: UNKNOWN, verdict ${verdict}`]
  }

  async #verify(owner: MigrationProcess): Promise<void> {
    const found = await owner.command<{ state: number; wentOn: boolean; matches: boolean }>('verify')
    if (found?.state !== RUNNING || !found.wentOn || !found.matches)
      this.#faults.push(`the owner is ${JSON.stringify(found)}`)
  }

  /** What may follow what, whoever owns the device at the end. */
  #checkOrder(here: readonly RunningInterval[], there: readonly RunningInterval[]): void {
    const [first] = there
    if (first === undefined || this.#byVerdict) return
    const committedNs = commitTime(this.#path('source.log'))
    if (committedNs === undefined || committedNs > first.startNs)
      this.#faults.push(`the destination started at ${first.startNs} and COMMIT began at ${committedNs}`)
    if (here.some(({ startNs }) => startNs > first.startNs))
      this.#faults.push('the source ran again after the destination had')
  }

  #checkIntervals(owner: 'source' | 'destination' | 'none'): void {
    const here = readIntervals(this.#path('source.log'), 'source', this.#source.goneNs)
    const there = readIntervals(this.#path('destination.log'), 'there', this.#destination.goneNs)
    const restarted = readIntervals(this.#path('restarted.log'), 'there again', undefined)
    const both = overlap([...here, ...there, ...restarted])
    if (both !== undefined) this.#faults.push(`both ran: ${both.map(textOf).join(' and ')}`)
    this.#checkOrder(here, there)
    if (restarted.length > 0) this.#faults.push('a destination that was restarted ran')
    if (owner === 'destination' && there.length === 0) this.#faults.push('no interval of the owner')
    const [first] = there
    // What the source did later, by the caller's verdict, is its own.
    const left = here[0]?.endSequence
    if (first !== undefined && first.startSequence !== left)
      this.#faults.push(`the sequence went from ${left} to ${first.startSequence}`)
  }

  get #ticket(): { phase: string } | undefined {
    const path = this.#path('ticket')
    if (!existsSync(path)) return undefined
    return JSON.parse(readFileSync(path, 'utf8')) as { phase: string }
  }
}

/** Whether a destination says by it how a connection ended. */
function isOutcome({ event }: { event: string }): boolean {
  return event === 'received' || event === 'receive-failed' || event === 'nothing-came'
}

function textOf({ side, startNs, endNs }: RunningInterval): string {
  return `${side} from ${startNs} to ${endNs ?? 'now'}`
}

/** Counts of outcomes by who was killed, when, and who has the device. */
export function outcomeTable(outcomes: readonly KillOutcome[]): string {
  const counts = new Map<string, number>()
  for (const { victim, phase, owner, how } of outcomes) {
    const row = `${victim.padEnd(12)}${phase.padEnd(9)}${owner.padEnd(13)}${how}`
    counts.set(row, (counts.get(row) ?? 0) + 1)
  }
  const order = ['source', 'destination'].flatMap((victim) =>
    Object.keys(SPREAD).map((phase) => `${victim.padEnd(12)}${phase.padEnd(9)}`),
  )
  const rank = (row: string): number => order.findIndex((start) => row.startsWith(start))
  const rows = [...counts].sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
  return ['killed      phase    owner        count  how']
    .concat(rows.map(([row, count]) => `${row.slice(0, 34)}${String(count).padStart(5)}  ${row.slice(34)}`))
    .join('\n')
}
