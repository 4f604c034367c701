/**
 * `stopcopy demo`: the whole protocol on one machine.
 *
 * @module
 */

import type { Command } from 'commander'
import { sizeOption } from '../arguments.ts'
import { formatBytes, formatDuration, formatRate } from '../byte-size.ts'
import { type DemoReport, type DemoStep, runDemo } from '../demo-run.ts'
import { failureLine } from '../failure.ts'
import { regionLines, tagLines } from '../stream-text.ts'
import { wrap } from '../table.ts'
import type { Terminal } from '../terminal.ts'

/** A device large enough to show a speed, small enough for any machine. */
const DEMO_BYTES = 256 * 1024 ** 2

/** Adds the command. */
export function addDemo(program: Command, terminal: Terminal): void {
  program
    .command('demo')
    .summary('save, verify, restore and compare a device (the default)')
    .description(
      'Build a device image, save it through STOP_COPY to a temporary file, verify the stream, restore it to a second device through RESUMING, compare every byte, and damage one bit.',
    )
    .addOption(sizeOption('--size <size>', 'memory of the device', DEMO_BYTES))
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy demo
  $ stopcopy demo --size 1GiB`,
    )
    .action(async ({ size, json }: { size: number; json?: true }) => {
      if (json) {
        terminal.json(await runDemo(size, terminal.signal))
        return
      }
      const { bold, dim } = terminal.colors
      terminal.print([
        bold(`A device with ${formatBytes(size)} of memory, through the VFIO migration protocol v2`),
        '',
        dim(row('step', '', 'time', 'memory/s')),
      ])
      // Step by step: whoever watches sees it work.
      const report = await runDemo(size, terminal.signal, (step) => terminal.print(stepRow(step)))
      terminal.print(afterSteps(report, terminal))
    })
}

function stepRow({ name, text, memoryBytes, elapsedMs }: DemoStep): string {
  return row(name, text, formatDuration(elapsedMs), formatRate(memoryBytes, elapsedMs))
}

function row(name: string, text: string, time: string, rate: string): string {
  return `  ${name.padEnd(8)}  ${text.padEnd(44)}  ${time.padStart(7)}  ${rate.padStart(11)}`
}

function afterSteps({ stream, walk, damage }: DemoReport, terminal: Terminal): string[] {
  const { colors, columns } = terminal
  const arrows = (name: string, states: readonly string[]): string[] =>
    wrap(`  ${name.padEnd(11)}  ${states.join(' > ')}`, columns, 15)
  return [
    '',
    colors.bold('What the stream holds'),
    ...tagLines(stream, colors),
    '',
    ...regionLines(stream.regions, colors),
    '',
    colors.bold('The states the devices went through'),
    ...arrows('source', walk.source),
    ...arrows('destination', walk.destination),
    '',
    colors.bold('What one flipped bit leads to'),
    ...wrap(`  ${failureLine(damage)}`, columns, 2),
    '',
    `${colors.green('Equal:')} both devices hold the same bytes. Next:`,
    '',
    ...NEXT.map((command) => `  ${colors.cyan(command)}`),
  ]
}

const NEXT = [
  'npx stopcopy save bulk --memory FILE -o file.stopcopy',
  'npx stopcopy verify file.stopcopy',
  'npx stopcopy restore bulk file.stopcopy --memory-out COPY',
  'npx stopcopy inspect file.stopcopy',
  'npx stopcopy path PRE_COPY RESUMING',
  'npx stopcopy explain ENOMSG',
]
