/**
 * `stopcopy path FROM TO --flags`: what a transition walks through and what each arc does.
 *
 * @module
 */

import { capabilitySet, endsSession, opensSession, transitionPath } from '../fsm/index.ts'
import { DeviceState, deviceStateName } from '../uapi/state.ts'
import { flagNames, parseFlags, parseState } from './words.ts'

/** One arc of a path. */
export interface PathStep {
  readonly from: string
  readonly to: string
  /** Direction of the session the arc opens, null when it opens none. */
  readonly opens: 'save' | 'resume' | null
  /** Whether the arc ends a session. */
  readonly ends: boolean
  /** What the device does on the arc. */
  readonly does: string
}

/** A whole transition; everything but `lines` is for `--json`. */
export interface PathDescription {
  readonly from: string
  readonly to: string
  /** 1, 3, 5 or 7. */
  readonly flags: number
  readonly flagNames: readonly string[]
  readonly steps: readonly PathStep[]
  /** Whether the call returns a data fd. */
  readonly returnsFd: boolean
  /** Where a failed call can leave the device. */
  readonly afterFailure: readonly string[]
  /** The same for people. */
  readonly lines: readonly string[]
}

const START_DMA = 'the device may start peer-to-peer DMA again'
const NO_P2P = 'finishes peer-to-peer DMA and starts no more'
const FINAL = 'stops the device; the same stream goes on with what is left'

/** What the device does on an arc, from the UAPI's text on states. */
const DOES: Readonly<Record<string, string>> = {
  'RUNNING STOP': 'stops DMA, interrupts and every change of state',
  'STOP RUNNING': 'starts the device',
  'STOP STOP_COPY': 'makes the device state readable',
  'STOP_COPY STOP': 'drops what was not read',
  'STOP RESUMING': 'may wipe the device, which now takes a stream',
  'RESUMING STOP': 'loads and checks what was written; a bad or short stream stops the walk here',
  'RUNNING RUNNING_P2P': NO_P2P,
  'RUNNING_P2P RUNNING': START_DMA,
  'RUNNING_P2P STOP': 'stops DMA, interrupts and every change of state',
  'STOP RUNNING_P2P': 'starts the device, without new peer-to-peer DMA',
  'RUNNING PRE_COPY': 'goes on running while its state becomes readable',
  'PRE_COPY RUNNING': 'goes on running; what was read is worthless',
  'PRE_COPY STOP_COPY': FINAL,
  'PRE_COPY PRE_COPY_P2P': NO_P2P,
  'PRE_COPY_P2P PRE_COPY': START_DMA,
  'PRE_COPY_P2P RUNNING_P2P': 'goes on running; what was read is worthless',
  'RUNNING_P2P PRE_COPY_P2P': 'goes on running while its state becomes readable',
  'PRE_COPY_P2P STOP_COPY': FINAL,
}

/**
 * Describes the way from one state to another.
 *
 * @param from - state name in any case, or number
 * @param flags - number, or names such as `stop-copy,p2p,pre-copy`
 * @throws RangeError for a word that is no state and no flag; {@link VfioError} EINVAL when the state
 * machine refuses
 */
export function describePath(from: string, to: string, flags = '7'): PathDescription {
  const start = parseState(from)
  const target = parseState(to)
  const set = capabilitySet(parseFlags(flags))
  const path = transitionPath(start, target, set)
  const steps = path.map((state, index) => describeStep(path[index - 1] ?? start, state))
  const description = {
    from: deviceStateName(start),
    to: deviceStateName(target),
    flags: set,
    flagNames: flagNames(set),
    steps,
    returnsFd: opensSession(start, target) !== undefined,
    afterFailure:
      steps.length === 0 ? [] : [start, ...path.slice(0, -1), DeviceState.ERROR].map(deviceStateName),
  }
  return { ...description, lines: render(description) }
}

function describeStep(from: number, to: number): PathStep {
  const names = { from: deviceStateName(from), to: deviceStateName(to) }
  return {
    ...names,
    opens: opensSession(from, to) ?? null,
    ends: endsSession(from, to),
    does: DOES[`${names.from} ${names.to}`] ?? '',
  }
}

function render(description: Omit<PathDescription, 'lines'>): string[] {
  const { from, to, flags, steps, returnsFd, afterFailure } = description
  const device = `a device with ${description.flagNames.join(', ')} (flags ${flags})`
  if (steps.length === 0) {
    return [
      `${from} to ${to} on ${device}: no arc`,
      'The call succeeds, does nothing and returns no data fd.',
    ]
  }
  const count = steps.length === 1 ? '1 arc' : `${steps.length} arcs`
  const width = Math.max(...steps.map((step) => step.from.length + step.to.length)) + 4
  const fd = returnsFd ? 'returns a data fd' : 'returns no data fd'
  return [
    `${from} to ${to} on ${device}: ${count}, ${fd}`,
    ...steps.map((step, index) => {
      const session = sessionText(step)
      return `  ${index + 1}  ${`${step.from} -> ${step.to}`.padEnd(width)}  ${step.does}${session}`
    }),
    `If the call fails, the device is in ${afterFailure.slice(0, -1).join(', ')} or ERROR: get the state to know.`,
  ]
}

function sessionText({ opens, ends }: PathStep): string {
  if (opens !== null) return `; opens a ${opens === 'save' ? 'saving' : 'resuming'} session`
  return ends ? '; ends the session' : ''
}
