/**
 * `stopcopy explain`: bytes, errnos, features, requests, states and flags in plain words.
 *
 * @module
 */

import { Errno, type ErrnoName, errnoName } from '../errors.ts'
import { DeviceFeature } from '../uapi/features.ts'
import { DeviceState, MigrationFlag } from '../uapi/state.ts'
import type { Answer } from './explain/answer.ts'
import { ERRNO_CAUSES } from './explain/errno-causes.ts'
import { explainFeature, explainFeatureFlags, explainRequest } from './explain/feature-text.ts'
import { explainBuffer } from './explain/ioctl-buffer.ts'
import { explainFlags, explainState } from './explain/state-text.ts'
import { V1_STATES, V1_STATE_MASK, explainV1State } from './explain/v1-states.ts'
import { canonicalName, parseInteger } from './words.ts'

/** Second names of the same numbers on Linux. */
const ALIASES: Readonly<Record<string, ErrnoName>> = { EWOULDBLOCK: 'EAGAIN', ENOTSUP: 'EOPNOTSUPP' }

/** All answers to what was typed; everything but `lines` is for `--json`. */
export interface Explanation {
  readonly input: string
  /** Empty when nothing is known by that name. An ambiguous word has several. */
  readonly answers: readonly Answer[]
  /** The same for people. */
  readonly lines: readonly string[]
}

/** Shortest run of hex digits that is taken for bytes: a feature header. */
const MIN_BUFFER_DIGITS = 16

/**
 * Explains words from a command line: the hex of an ioctl buffer (in one word or many), or names and
 * numbers, each on its own. Never throws; unknown words lead to no answer and to a line that says so.
 */
export function explain(words: readonly string[]): Explanation {
  const input = words.join(' ').trim()
  const parts = input.split(/[\s,;]+/).filter((part) => part !== '')
  const bytes = parseBytes(parts)
  const answers = bytes === undefined ? parts.flatMap(explainWord) : explainBuffer(bytes)
  const unknown = bytes === undefined ? parts.filter((part) => explainWord(part).length === 0) : []
  return { input, answers, lines: [...render(answers), ...complaints(parts, unknown)] }
}

/** Hex bytes as people paste them: `10000000 0200...`, `10 00 00 00`, `0x10, 0x00`, `\x10\x00`, with offsets. */
function parseBytes(parts: readonly string[]): Uint8Array | undefined {
  const groups = parts
    .filter((part) => !/^[0-9a-f]+:$/i.test(part))
    .flatMap((part) =>
      part
        .replaceAll(/\\x|0x/gi, ' ')
        .trim()
        .split(' '),
    )
  if (!groups.every((group) => /^([0-9a-f]{2})+$/i.test(group))) return undefined
  const digits = groups.join('')
  // A few pairs of digits are bytes too short for a header; one or two of them are rather numbers.
  const enough = digits.length >= MIN_BUFFER_DIGITS || groups.length >= 4
  return enough ? Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)) : undefined
}

function explainWord(word: string): Answer[] {
  const number = parseInteger(word)
  if (number !== undefined) return explainNumber(number)
  const answers = explainName(word)
  // Names first: EBADF is five hex digits, too.
  return answers.length === 0 && /^[0-9a-f]+$/i.test(word)
    ? explainNumber(Number.parseInt(word, 16))
    : answers
}

function explainName(word: string): Answer[] {
  const name = canonicalName(word)
  const answers: Answer[] = []
  const errno = ALIASES[name] ?? name
  if (Object.hasOwn(Errno, errno)) answers.push(explainErrno(errno as ErrnoName))
  const request = explainRequest(name)
  if (request !== undefined) answers.push(request)

  const state = canonicalName(name, 'VFIO_DEVICE_STATE_')
  if (Object.hasOwn(DeviceState, state))
    answers.push(explainState(DeviceState[state as keyof typeof DeviceState]))
  const flag = canonicalName(name, 'VFIO_MIGRATION_')
  if (Object.hasOwn(MigrationFlag, flag))
    answers.push(explainFlags(MigrationFlag[flag as keyof typeof MigrationFlag]))
  const feature = canonicalName(name, 'VFIO_DEVICE_FEATURE_')
  for (const [key, index] of Object.entries(DeviceFeature)) {
    if (key.toUpperCase() === feature) answers.push(explainFeature(index))
  }

  // The v1 header used the v2 spelling; a bare RUNNING is nearly always v2, and SAVING is v1 only.
  const v1 = canonicalName(state, 'V1_')
  const spelledAsV1 = name.startsWith('VFIO_DEVICE_STATE_') || name.startsWith('V1_')
  if (Object.hasOwn(V1_STATES, v1) && (spelledAsV1 || v1 === 'SAVING')) {
    answers.push(explainV1State(V1_STATES[v1]!))
  }
  return answers
}

function explainNumber(number: number): Answer[] {
  const answers: Answer[] = []
  const states = Object.values<number>(DeviceState)
  const allFlags = MigrationFlag.STOP_COPY | MigrationFlag.P2P | MigrationFlag.PRE_COPY
  if (states.includes(number)) answers.push(explainState(number as DeviceState))
  if (Object.values<number>(DeviceFeature).includes(number)) answers.push(explainFeature(number))
  // -22 printed as an unsigned 32-bit number is 4294967274.
  const errno = errnoName(number > 0xffff_f000 ? number - 2 ** 32 : number)
  if (errno !== undefined) answers.push(explainErrno(errno))
  const request = explainRequest(number)
  if (request !== undefined) answers.push(request)
  if (number >= 1 && number <= allFlags) answers.push(explainFlags(number))
  // Above the feature index, below the reserved bits: a flags word with at least one operation.
  if (number >= 2 ** 16 && number < 2 ** 19) answers.push(explainFeatureFlags(number))
  if (number >= 0 && number <= V1_STATE_MASK) answers.push(explainV1State(number))
  return answers
}

function explainErrno(name: ErrnoName): Answer {
  const causes = ERRNO_CAUSES[name] ?? []
  const notes =
    causes.length === 0 ? ['No meaning of its own in this protocol: look at the system around it.'] : []
  return { kind: 'errno', title: `errno ${Errno[name]} is ${name}`, causes, notes }
}

function render(answers: readonly Answer[]): string[] {
  return answers.flatMap((answer, index) => [
    ...(index === 0 ? [] : ['']),
    answer.title,
    ...(answer.fields ?? []).map(
      ({ name, offset, type, value, meaning }) =>
        `  ${String(offset).padStart(3)}  ${type}  ${name.padEnd(16)}  ${value}  ${meaning}`,
    ),
    ...(answer.problems ?? []).map((problem) => `  refused with ${problem}`),
    ...(answer.problems?.length === 0 ? ['  a device with every capability accepts it'] : []),
    ...(answer.causes ?? []).map(({ from, why, remedy }) => `  ${from}: ${why}. Remedy: ${remedy}.`),
    ...answer.notes.map((note) => `  ${note}`),
  ])
}

function complaints(parts: readonly string[], unknown: readonly string[]): string[] {
  const remedy = 'pass hex bytes of an ioctl buffer, an errno, a feature, a state or a request'
  if (parts.length === 0) return [`Cannot explain: nothing was given, ${remedy}`]
  return unknown.map((part) => `Cannot explain "${part}": it has no meaning here, ${remedy}`)
}
