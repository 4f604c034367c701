/**
 * What people type: numbers, state names and capability flags.
 *
 * @module
 */

import { DeviceState, MigrationFlag } from '../uapi/state.ts'

/** `stop-copy`, `VFIO_DEVICE_STATE_STOP_COPY` and `STOP_COPY` are one name. */
export function canonicalName(word: string, prefix = ''): string {
  const name = word.trim().toUpperCase().replaceAll('-', '_')
  return name.startsWith(prefix) ? name.slice(prefix.length) : name
}

/** A whole number, decimal or 0x, either sign; undefined when the word is none. */
export function parseInteger(word: string): number | undefined {
  const match = /^([+-]?)(0x[0-9a-f]+|\d+)$/i.exec(word.trim())
  if (match === null) return undefined
  const value = Number(match[2])
  if (!Number.isSafeInteger(value)) return undefined
  return match[1] === '-' && value !== 0 ? -value : value
}

/**
 * A state name in any case and spelling, or a number, which may be no state at all: the state machine
 * says so better.
 *
 * @throws RangeError when the word is neither
 */
export function parseState(word: string): number {
  const number = parseInteger(word)
  if (number !== undefined) return number
  const name = canonicalName(word, 'VFIO_DEVICE_STATE_')
  if (Object.hasOwn(DeviceState, name)) return DeviceState[name as keyof typeof DeviceState]
  throw new RangeError(
    `Cannot read state "${word}": there is no such state, use ${Object.keys(DeviceState).join(', ')} or a number`,
  )
}

/**
 * Capability flags as a number or as names such as `stop-copy,p2p,pre-copy`.
 *
 * @throws RangeError when a part is neither
 */
export function parseFlags(text: string): number {
  const number = parseInteger(text)
  if (number !== undefined) return number
  let flags = 0
  for (const part of text.split(/[,+|\s]+/)) {
    const name = canonicalName(part, 'VFIO_MIGRATION_')
    if (!Object.hasOwn(MigrationFlag, name)) {
      throw new RangeError(
        `Cannot read flags "${text}": "${part}" is no flag, use 1, 3, 5, 7 or names such as stop-copy,p2p,pre-copy`,
      )
    }
    flags |= MigrationFlag[name as keyof typeof MigrationFlag]
  }
  return flags
}

/** The names of capability flags as debugfs prints them, `bit 5` for one that has none. */
export function flagNames(flags: number | bigint): string[] {
  const names: string[] = []
  let rest = BigInt(flags)
  for (let bit = 0; rest !== 0n; bit++, rest >>= 1n) {
    if ((rest & 1n) === 0n) continue
    const known = Object.entries(MigrationFlag).find(([, value]) => value === 2 ** bit)
    names.push(known === undefined ? `bit ${bit}` : known[0].toLowerCase().replaceAll('_', '-'))
  }
  return names
}
