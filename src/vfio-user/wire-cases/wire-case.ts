/**
 * One rule of the wire, tried on a server with raw messages.
 *
 * @module
 */

import type { DeviceState } from '../../uapi/state.ts'
import { answerText } from './answer.ts'
import type { Trial } from './trial.ts'
import type { WireBench } from './wire-bench.ts'

/**
 * What a case does to the server it is tried on:
 *
 * - 'reads': asks, or asks for what a server refuses; a device that others use goes on unharmed;
 * - 'changes': writes registers, maps memory, moves the device from state to state, makes connections;
 * - 'dangerous': a server that is known to the suite dies of it.
 */
export type WireSafety = 'reads' | 'changes' | 'dangerous'

/**
 * What a case needs of the server: 'migration' and 'logging' the features, 'pre-copy' the flag, 'dma' a device
 * that keeps DMA regions, 'reset' a device that can be reset, 'config' a PCI configuration space.
 */
export type WireNeed = 'migration' | 'pre-copy' | 'logging' | 'dma' | 'reset' | 'config'

/** How a case ended. */
export interface WireFinding {
  /** A known difference is a failure, too, and has a `quirk`. */
  readonly status: 'pass' | 'fail' | 'not applicable'
  /** Why it does not apply, or what was expected. */
  readonly reason?: string | undefined
  /** The last message that was sent. */
  readonly sent?: string | undefined
  /** What came back. */
  readonly received?: string | undefined
  /** The known habit of a known server that this answer is, and what to make of it. */
  readonly quirk?: string | undefined
}

/** What a case of the wire is called, and what it is about. */
export interface WireRule {
  /** Unique: the group and a sentence. */
  readonly name: string
  /** What the protocol demands, in words. */
  readonly rule: string
  /** What it does to the server. */
  readonly safety: WireSafety
  /** What it needs of the server; without, it does not apply. */
  readonly needs: readonly WireNeed[]
}

/** A case before it is bound to a server. */
export interface BenchCase extends WireRule {
  /** Tries it. */
  readonly run: (bench: WireBench) => Promise<WireFinding>
}

/** A case before it is bound: what its author writes. */
export interface WireCaseBody {
  readonly name: string
  readonly rule: string
  /** Default 'reads'. */
  readonly safety?: WireSafety
  readonly needs?: readonly WireNeed[]
  /** Where the device is brought first; without it, it is not asked. */
  readonly at?: DeviceState
  /** On a connection of its own, where nothing was said yet. */
  readonly fresh?: true
  /** Throws {@link WireMismatch} or {@link NotApplicable}. */
  readonly body: (trial: Trial) => Promise<void>
}

/** An answer that is not what the rule demands. */
export class WireMismatch extends Error {
  override readonly name = 'WireMismatch'
  /** See {@link WireFinding.quirk}. */
  readonly quirk: string | undefined

  constructor(expected: string, quirk?: string) {
    super(expected)
    this.quirk = quirk
  }
}

/** The case cannot be tried here. */
export class NotApplicable extends Error {
  override readonly name = 'NotApplicable'
}

/** How often a connection that ended is tried again. */
const TRIES = 3
const RETRY_MS = 100

/** Makes cases of one group. */
export function wireCases(group: string, bodies: readonly WireCaseBody[]): BenchCase[] {
  return bodies.map((written) => {
    const { rule, safety = 'reads', needs = [] } = written
    const name = `${group}: ${written.name}`
    return { name, rule, safety, needs, run: (bench) => runCase(bench, name, written) }
  })
}

async function runCase(bench: WireBench, name: string, written: WireCaseBody): Promise<WireFinding> {
  let finding = await tryCase(bench, name, written)
  // A server that is being started again may have taken the connection on its way out.
  for (let turn = 1; turn < TRIES && written.fresh && finding.endedAtOnce; turn++) {
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    finding = await tryCase(bench, name, written)
  }
  const { endedAtOnce: _, ...found } = finding
  return found
}

async function tryCase(
  bench: WireBench,
  name: string,
  { needs = [], at, fresh, body }: WireCaseBody,
): Promise<WireFinding & { readonly endedAtOnce?: boolean }> {
  let trial: Trial | undefined
  try {
    await bench.require(needs)
    if (at !== undefined) await bench.reach(at)
    trial = await (fresh ? bench.beginFresh() : bench.begin())
    await body(trial)
    return { status: 'pass', ...told(trial), ...(trial.remark === undefined ? {} : { quirk: trial.remark }) }
  } catch (error) {
    if (error instanceof NotApplicable) return { status: 'not applicable', reason: error.message }
    if (!(error instanceof WireMismatch)) throw error
    const { message: reason, quirk } = error
    return {
      status: 'fail',
      reason,
      ...told(trial),
      ...(quirk === undefined ? {} : { quirk }),
      endedAtOnce: trial?.answer?.kind === 'closed',
    }
  } finally {
    await bench.end(name)
  }
}

function told(trial: Trial | undefined): Pick<WireFinding, 'sent' | 'received'> {
  if (trial?.sent === undefined) return {}
  return {
    sent: trial.sent,
    ...(trial.answer === undefined ? {} : { received: answerText(trial.answer) }),
  }
}
