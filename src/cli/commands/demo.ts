/**
 * `stopcopy demo`: a working device moves between two processes, or through a file.
 *
 * @module
 */

import type { Command } from 'commander'
import { countOption, durationOption, parsedSize } from '../arguments.ts'
import { UsageError } from '../failure.ts'
import type { Terminal } from '../terminal.ts'
import { showFileDemo } from './demo-file.ts'
import { showLiveDemo } from './demo-live.ts'

interface Options {
  readonly size?: number
  readonly dirtyRate: number
  readonly downtimeLimit: number
  readonly plot?: string
  readonly file?: true
  readonly json?: true
}

/** Devices large enough to show a speed, small enough for any machine. */
const LIVE_BYTES = 512 * 1024 ** 2
const FILE_BYTES = 256 * 1024 ** 2
/** A live demo needs a page for its nonce and some to work on. */
const LEAST_LIVE_BYTES = 64 * 1024
const PAGE_BYTES = 4096

/** Adds the command. */
export function addDemo(program: Command, terminal: Terminal): void {
  program
    .command('demo')
    .summary('a working device moves to another process (the default)')
    .description(
      'Start two processes, migrate a device live from one to the other while it works, and prove that it went on where it had stopped: no record lost or repeated, every byte as it must be, and a nonce that only the source was given.',
    )
    .addOption(parsedSize('--size <size>', 'memory of the device (default: 512 MiB, of a file 256 MiB)'))
    .addOption(
      countOption('--dirty-rate <pages>', 'pages a second that the device writes', 0, 1_000_000).default(
        20_000,
      ),
    )
    .addOption(
      durationOption('--downtime-limit <time>', 'stop it when it is expected to take so long', '50ms'),
    )
    .option('--plot <file>', 'draw it: an SVG of what was left and dirtied over time')
    .option('--file', 'instead: save to a file, verify, restore, compare, damage one bit')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy demo
  $ stopcopy demo --size 1GiB --dirty-rate 5000 --plot demo.svg
  $ stopcopy demo --file`,
    )
    .action(({ size, file, json, plot, dirtyRate, downtimeLimit }: Options) => {
      const asJson = json === true
      if (file) {
        if (plot !== undefined)
          throw new UsageError('Cannot plot the demo with a file: nothing is live, leave --plot out')
        return showFileDemo(size ?? FILE_BYTES, asJson, terminal)
      }
      const memoryBytes = size ?? LIVE_BYTES
      if (memoryBytes < LEAST_LIVE_BYTES || memoryBytes % PAGE_BYTES !== 0)
        throw new UsageError(`Cannot show ${memoryBytes} bytes live: use 64KiB or more, in pages of 4KiB`)
      if (downtimeLimit === 0)
        throw new UsageError('Cannot migrate in no time: --downtime-limit must be above 0')
      const options = { memoryBytes, pagesPerSecond: dirtyRate, downtimeLimitMs: downtimeLimit }
      return showLiveDemo(options, plot, asJson, terminal)
    })
}
