/**
 * `stopcopy demo --file`: the whole protocol on one machine, through a file.
 *
 * @module
 */

import { formatBytes, formatDuration, formatRate } from '../byte-size.ts'
import { type FileDemoReport, type FileDemoStep, runFileDemo } from '../demo/file-demo.ts'
import { failureLine } from '../failure.ts'
import { regionLines, tagLines } from '../stream-text.ts'
import { wrap } from '../table.ts'
import type { Terminal } from '../terminal.ts'

/** Runs it and shows it, step by step: whoever watches sees it work. */
export async function showFileDemo(size: number, asJson: boolean, terminal: Terminal): Promise<void> {
  if (asJson) {
    terminal.json(await runFileDemo(size, terminal.signal))
    return
  }
  const { bold, dim } = terminal.colors
  terminal.print([
    bold(`A device with ${formatBytes(size)} of memory, through the VFIO migration protocol v2`),
    '',
    dim(row('step', '', 'time', 'memory/s')),
  ])
  const report = await runFileDemo(size, terminal.signal, (step) => terminal.print(stepRow(step)))
  terminal.print(afterSteps(report, terminal))
}

function stepRow({ name, text, memoryBytes, elapsedMs }: FileDemoStep): string {
  return row(name, text, formatDuration(elapsedMs), formatRate(memoryBytes, elapsedMs))
}

function row(name: string, text: string, time: string, rate: string): string {
  return `  ${name.padEnd(8)}  ${text.padEnd(44)}  ${time.padStart(7)}  ${rate.padStart(11)}`
}

function afterSteps({ stream, walk, damage }: FileDemoReport, terminal: Terminal): string[] {
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
