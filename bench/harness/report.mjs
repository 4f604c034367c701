/**
 * A run as Markdown: targets first, then a table for each group.
 *
 * @module
 */
import { ratios, spread } from './statistics.mjs'

/** The report of a run; `level` is the number of # of its headings. */
export function markdown(run, level = 2) {
  const { environment: at } = run
  const heading = '#'.repeat(level)
  const machine = `${at.cpu}${at.cpuModel === undefined ? '' : ` (model ${at.cpuModel})`}, ${at.cores} cores, ${at.memoryGiB} GiB, Node ${at.node}, ${at.platform}`
  return [
    `${run.date.slice(0, 10)}, commit ${at.commit}${at.changed ? ' and changes' : ''}, ${machine}.`,
    ...(run.quick ? ['**Quick run: smaller sizes and few rounds. Its figures are no results.**'] : []),
    `${heading} Targets`,
    targetTable(run.groups),
    ...run.groups.flatMap((group) => [
      `${heading} ${group.title}`,
      ...group.notes,
      caseTable(group.cases),
      ...group.cases.flatMap((each) =>
        each.table === undefined ? [] : [table(each.table.header, each.table.rows)],
      ),
    ]),
  ]
    .filter((part) => part !== '')
    .join('\n\n')
}

/** Targets as a table: what was asked, what was reached. */
export function targetTable(groups) {
  const targets = groups.flatMap((group) => group.targets)
  if (targets.length === 0) return 'None of what ran has a target.'
  return table(
    ['target', 'asked', 'reached (quartiles)', ''],
    targets.map((target) => {
      const { name, asked, sense, unit, reached, low, high, met } = target
      const range = low === high ? '' : ` (${digits(low)} to ${digits(high)})`
      return [
        name,
        `${sense} ${asked} ${unit}`,
        reached === undefined ? 'not measured' : `${digits(reached)} ${unit}${range}`,
        met === undefined ? '' : met ? 'yes' : '**no**',
      ]
    }),
  )
}

function caseTable(cases) {
  const timed = cases.filter(({ seconds, skipped }) => seconds !== undefined || skipped !== undefined)
  if (timed.length === 0) return ''
  const rows = timed.map((each) => {
    if (each.skipped !== undefined) return [each.name, each.skipped, '', '']
    const { median, low, high } = spread(figures(each))
    const reference = referenceOf(each, cases)
    const ratio = reference && spread(ratios(each, reference))
    return [
      each.name,
      `${digits(median)} ${each.bytes === undefined ? 'µs' : 'GB/s'}`,
      `${digits(low)} to ${digits(high)}`,
      ratio === undefined ? '' : `${digits(ratio.median)} × ${each.against}`,
    ]
  })
  return table(['case', 'median', 'quartiles', 'rate'], rows)
}

/** The case whose rate is 1 for `each`; undefined when it has none, or is it. */
export function referenceOf(each, cases) {
  return cases.find(
    ({ name, seconds }) => name === each.against && name !== each.name && seconds !== undefined,
  )
}

/** What a table shows of a case, one value of each round: GB/s (10⁹ bytes), or µs where no bytes move. */
function figures({ seconds, bytes, operations = 1 }) {
  return seconds.map((each) => (bytes === undefined ? (each / operations) * 1e6 : bytes / each / 1e9))
}

/** Three digits that count. */
export function digits(value) {
  return value >= 1000 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3)
}

function table(header, rows) {
  const rule = header.map((_, column) => (column === 0 ? '---' : '---:'))
  return [header, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
