/**
 * `stopcopy explain WORDS...`.
 *
 * @module
 */

import type { Command } from 'commander'
import { VfioError } from '../../errors.ts'
import { explain } from '../explain.ts'
import { wrap } from '../table.ts'
import type { Terminal } from '../terminal.ts'

/** Adds the command. */
export function addExplain(program: Command, terminal: Terminal): void {
  program
    .command('explain')
    .summary('an ioctl buffer, an errno, a feature or a state in plain words')
    .description(
      'Explain the hex bytes of an ioctl buffer, or names and numbers: errnos, features, requests, states and flags.',
    )
    .argument('<words...>', 'hex bytes in any grouping, or names and numbers')
    .option('--json', 'print one JSON object')
    // A kernel's "-EINVAL" is a word here, not an option.
    .allowUnknownOption()
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy explain ENOMSG
  $ stopcopy explain -22
  $ stopcopy explain PRE_COPY
  $ stopcopy explain 18000000 02000200 03000000 00000000 00000000 00000000`,
    )
    .action((words: string[], options: { json?: true }) => {
      const { lines, ...found } = explain(words.map((word) => word.replace(/^-(?=[a-z])/i, '')))
      const refusals = lines.filter((line) => line.startsWith('Cannot explain'))
      if (!options.json) {
        const answers = lines.filter((line) => !refusals.includes(line))
        if (answers.length > 0) terminal.print(answers.flatMap((line) => wrapped(line, terminal)))
      }
      // One line is enough, also where several words mean nothing; a machine gets all answers or none.
      if (refusals[0] !== undefined) throw new VfioError('EINVAL', refusals[0])
      if (options.json) terminal.json(found)
    })
}

/** Continued lines stand under the text they continue: a note's, or the meaning of a field. */
function wrapped(line: string, terminal: Terminal): string[] {
  return wrap(line, terminal.columns, line.startsWith('  ') ? 4 : 2)
}
