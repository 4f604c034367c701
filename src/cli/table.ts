/**
 * Aligned columns of plain text.
 *
 * @module
 */

/** Which side of its column a cell stands at. */
export type Alignment = 'left' | 'right'

/** Changes how a cell looks, never its width: a colour. */
export type Paint = (text: string) => string

/** Options of {@link table}. */
export interface TableOptions {
  /** Side of each column; default left. */
  readonly align?: readonly Alignment[]
  /** Blanks before each line; default 2. */
  readonly indent?: number
  /** Colour of the first row, where it is a heading. */
  readonly heading?: Paint
}

/** Lines of a table, columns as wide as their widest cell and two blanks apart, no trailing blanks. */
export function table(rows: readonly (readonly string[])[], options: TableOptions = {}): string[] {
  const { align = [], indent = 2, heading } = options
  const widths: number[] = []
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  return rows.map((row, index) => {
    const cells = row.map((cell, column) =>
      align[column] === 'right' ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    )
    const line = cells.join('  ').trimEnd()
    return ' '.repeat(indent) + (index === 0 && heading !== undefined ? heading(line) : line)
  })
}

/**
 * Breaks a line at blanks so that it fits `columns`; what follows is indented by `hanging` blanks.
 * A word that is longer than a line stands alone.
 */
export function wrap(line: string, columns: number, hanging = 0): string[] {
  const lines: string[] = []
  let rest = line
  while (rest.length > columns) {
    const indent = /^ */.exec(rest)?.[0].length ?? 0
    const inside = rest.lastIndexOf(' ', columns)
    const at = inside > indent ? inside : rest.indexOf(' ', columns)
    if (at < 0) break
    lines.push(rest.slice(0, at).trimEnd())
    rest = ' '.repeat(hanging) + rest.slice(at).trimStart()
  }
  return [...lines, rest]
}
