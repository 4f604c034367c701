/**
 * The run as a person reads it: a line for each part, the named differences, and whatever has no name.
 *
 * @module
 */
import { DIFFERENCES } from './differences.mjs'

/** Unnamed differences that are printed in full; the rest is in --json. */
const SHOWN = 40

const count = (cells, verdict) => cells.filter((cell) => cell.verdict === verdict).length

function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row
      .map((text, column) => (column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column])))
      .join('  ')
      .trimEnd(),
  )
}

/** Cells of the matrix as rows of from-states: what came back, in short. */
function matrixLines(cells) {
  return cells.map(({ name, kernel, verdict }) => `${name.padEnd(45)} ${kernel.padEnd(36)} ${verdict}`)
}

/** @returns {string} the report */
export function report({ linux, bootMs, kernelCalls, seconds, cells }, { showMatrix }) {
  const parts = [...new Set(cells.map(({ part }) => part))]
  const wrong = cells.filter(({ verdict }) => verdict === 'unnamed' || verdict === 'vanished')
  const rows = parts.map((part) => {
    const of = cells.filter((cell) => cell.part === part)
    const bad = count(of, 'unnamed') + count(of, 'vanished')
    return [
      part,
      String(of.length),
      String(count(of, 'equal')),
      String(count(of, 'named')),
      String(count(of, 'not applicable')),
      String(bad),
    ]
  })
  const lines = [
    `Linux ${linux} in v86, booted in ${(bootMs / 1000).toFixed(1)} s; ${kernelCalls} calls to its kernel in ${seconds} s`,
    '',
    ...table([['part', 'cells', 'equal', 'named', 'n/a', 'wrong'], ...rows]),
  ]
  if (showMatrix) lines.push('', ...matrixLines(cells.filter(({ part }) => part === 'request matrix')))

  const absent = cells.filter(({ verdict }) => verdict === 'not applicable')
  if (absent.length > 0) {
    const needs = new Set(absent.flatMap(({ kernel }) => kernel.replace('not applicable: ', '').split(', ')))
    lines.push(
      '',
      `Not applicable on both sides: ${absent.length} cells, which need ${[...needs].join(', ')}`,
    )
  }

  const named = Object.keys(DIFFERENCES).filter((name) => cells.some((cell) => cell.difference === name))
  if (named.length > 0) {
    lines.push('', 'Named differences, all intended:')
    for (const name of named) {
      const of = cells.filter(({ difference, verdict }) => difference === name && verdict === 'named')
      const profiles = [...new Set(of.map(({ profile }) => profile))].join(' and ')
      lines.push(`  ${name} (${of.length} cells, profile ${profiles}): ${DIFFERENCES[name].why}`)
    }
  }
  for (const { part, name, profile, verdict, difference, kernel, stopcopy } of wrong.slice(0, SHOWN)) {
    lines.push(
      '',
      `${verdict === 'vanished' ? `No longer a difference (${difference})` : 'DIFFERENT'}: ${part}: ${name}, profile ${profile}`,
    )
    lines.push(`  kernel   ${kernel}`, `  stopcopy ${stopcopy}`)
  }
  if (wrong.length > SHOWN) lines.push('', `and ${wrong.length - SHOWN} more, see --json`)

  const equal = count(cells, 'equal')
  const verdict = wrong.length === 0 ? 'no unnamed difference' : `${wrong.length} UNNAMED`
  lines.push(
    '',
    `${cells.length} cells: ${equal} equal, ${count(cells, 'named')} named differences, ${absent.length} not applicable, ${verdict}`,
  )
  return lines.join('\n')
}
