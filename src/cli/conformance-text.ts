/**
 * What `stopcopy conformance` tells people.
 *
 * @module
 */

import type { ServerFacts, WireFinding } from '../vfio-user/index.ts'
import type { Check } from './conformance-checks.ts'
import { plainLine } from './plain-line.ts'
import type { Colors } from './terminal.ts'
import { wrap } from './table.ts'
import { flagNames } from './words.ts'

/** How checks ended. */
export interface Tally {
  pass: number
  fail: number
  /** Failed, as a known server does. */
  known: number
  notApplicable: number
}

const INDENT = '      '

/** Adds a finding. */
export function count(tally: Tally, { status, quirk }: WireFinding): void {
  if (status === 'pass') tally.pass++
  else if (status === 'not applicable') tally.notApplicable++
  else if (quirk === undefined) tally.fail++
  else tally.known++
}

/** Who is checked. */
export function serverLine(url: string, facts: ServerFacts): string {
  const { version, regions, irqs, migrationFlags, isLibvfioUser } = facts
  const migrates =
    migrationFlags === undefined ? 'no migration' : `migration with ${flagNames(migrationFlags).join(', ')}`
  const what = `${regions.length} regions, ${irqs.length} interrupt indexes, ${migrates}`
  const who = isLibvfioUser ? '; it says what libvfio-user says' : ''
  return `Checking ${url}: vfio-user ${version.major}.${version.minor}, ${what}${who}`
}

/** One check: a line, and what there is to explain. */
export function checkLines(
  { name, rule }: Check,
  finding: WireFinding,
  options: { readonly colors: Colors; readonly columns: number; readonly verbose: boolean },
): string[] {
  const { status, reason, sent, received, quirk } = finding
  const { colors, columns, verbose } = options
  const isKnown = status === 'fail' && quirk !== undefined
  const [word, paint] =
    status === 'pass'
      ? ['pass', colors.green]
      : status === 'not applicable'
        ? ['n/a', colors.dim]
        : isKnown
          ? ['known', colors.yellow]
          : ['FAIL', colors.red]
  const isFailed = status === 'fail'
  const details = [
    ...(isFailed || verbose ? [`rule      ${rule}`] : []),
    ...((isFailed || verbose) && sent !== undefined ? [`sent      ${sent}`] : []),
    ...((isFailed || verbose) && received !== undefined ? [`received  ${received}`] : []),
    ...(isFailed && reason !== undefined ? [`expected  ${reason}`] : []),
    ...(status === 'not applicable' && reason !== undefined ? [`because   ${reason}`] : []),
    ...(quirk === undefined ? [] : [`known     ${quirk}`]),
  ]
  return [
    `${paint(word.padEnd(5))} ${name}`,
    ...details.flatMap((line) => wrap(`${INDENT}${plainLine(line)}`, columns, INDENT.length + 10)),
  ]
}

/** The last line. */
export function tallyLine({ pass, fail, known, notApplicable }: Tally): string {
  const habits = known === 0 ? '' : `${known} known ${known === 1 ? 'difference' : 'differences'}, `
  return `${pass} pass, ${fail} fail, ${habits}${notApplicable} not applicable`
}
