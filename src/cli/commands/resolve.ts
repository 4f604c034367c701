/**
 * `stopcopy resolve TICKET --to URL`.
 *
 * @module
 */

import type { Command } from 'commander'
import { VfioError } from '../../errors.ts'
import { durationOption, urlOption } from '../arguments.ts'
import { Route } from '../sending-end.ts'
import type { Terminal } from '../terminal.ts'
import { TicketFile } from '../ticket-file.ts'
import { clientTls, type ClientTlsFiles, tlsOptions } from '../tls-files.ts'

interface Options extends ClientTlsFiles {
  readonly to: string
  readonly resolveFor: number
  readonly json?: true
}

/** Adds the command. */
export function addResolve(program: Command, terminal: Terminal): void {
  const command = program
    .command('resolve')
    .summary('ask who has the device of a hand-over that was cut')
    .description(
      "Ask a receiving stopcopy what became of a hand-over whose source is gone, with the source's ticket. A destination that waits for COMMIT starts the device then: the source had committed it.",
    )
    .argument('<ticket>', 'the file that send --ticket wrote; removed once it is settled')
    .addOption(urlOption('-t, --to <url>', 'where the destination listens'))
  for (const option of tlsOptions()) command.addOption(option)
  command
    .addOption(durationOption('--resolve-for <time>', 'ask for so long', '10s'))
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Exit code 0: it is settled. 1: it is not, and nobody must run the device yet.

Examples:
  $ stopcopy resolve ticket.json --to tcp:127.0.0.1:4711`,
    )
    .action((path: string, options: Options) => resolve(new TicketFile(path), options, terminal))
}

async function resolve(file: TicketFile, options: Options, terminal: Terminal): Promise<void> {
  const { to, resolveFor, json } = options
  const ticket = await file.read()
  if (ticket.role !== 'source')
    throw new VfioError(
      'EINVAL',
      `Cannot ask with "${file.path}": it is a destination's ticket, ask with that of the source`,
    )
  const owner = await new Route(to, await clientTls(options)).resolve(ticket, resolveFor, terminal.signal)
  terminal.signal.throwIfAborted()
  if (owner === 'undecided')
    throw new VfioError(
      'ETIMEDOUT',
      `Cannot tell who has the device: ${to} did not answer or knows nothing of it, ask again`,
    )
  await file.keep(undefined)
  if (json) terminal.json({ id: ticket.id, owner })
  else terminal.print(TEXTS[owner])
}

const TEXTS = {
  destination: 'The destination runs the device.',
  source: 'The source runs the device.',
  none: 'Nobody runs the device: the destination discarded it, and the source is gone.',
}
