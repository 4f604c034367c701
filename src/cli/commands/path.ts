/**
 * `stopcopy path FROM TO --flags`.
 *
 * @module
 */

import type { Command } from 'commander'
import { UsageError } from '../failure.ts'
import { describePath, type PathDescription } from '../path.ts'
import { wrap } from '../table.ts'
import type { Terminal } from '../terminal.ts'

/** Adds the command. */
export function addPath(program: Command, terminal: Terminal): void {
  program
    .command('path')
    .summary('the arcs a device walks between two states')
    .description('Show the way from one device state to another, and what the device does on each arc.')
    .argument('<from>', 'state: a name such as RUNNING, or a number')
    .argument('<to>', 'state: a name such as STOP_COPY, or a number')
    .option('-f, --flags <flags>', 'capabilities: 1, 3, 5, 7 or names such as stop-copy,p2p,pre-copy', '7')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy path RUNNING STOP_COPY               through RUNNING_P2P and STOP
  $ stopcopy path RUNNING STOP_COPY --flags 1     a device without P2P
  $ stopcopy path pre-copy resuming --json`,
    )
    .action((from: string, to: string, options: { flags: string; json?: true }) => {
      const { lines, ...description } = describe(from, to, options.flags)
      if (options.json) terminal.json(description)
      else terminal.print(lines.flatMap((line) => wrap(line, terminal.columns, textColumn(line))))
    })
}

/** Where the text of an arc begins, which continued lines stand under. */
function textColumn(line: string): number {
  return /^ +\d+ {2}\S+ -> \S+ +/.exec(line)?.[0].length ?? 2
}

/** A word that is no state or flag is a matter of usage; what the state machine refuses is not. */
function describe(from: string, to: string, flags: string): PathDescription {
  try {
    return describePath(from, to, flags)
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error
  }
}
