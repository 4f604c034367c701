/**
 * `stopcopy inspect IN` and `stopcopy verify IN`.
 *
 * @module
 */

import type { Command } from 'commander'
import { inspect, type StreamReport, type SurveyOptions, verify } from '../../migrate/index.ts'
import { settle } from '../../transport/index.ts'
import { inputArgument } from '../arguments.ts'
import { formatBytes, formatCount, formatTransfer } from '../byte-size.ts'
import { withProgress } from '../progress.ts'
import { isStdio, openSource } from '../stdio.ts'
import { printable, streamLines } from '../stream-text.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly json?: true
}

/** Adds `inspect`. */
export function addInspect(program: Command, terminal: Terminal): void {
  program
    .command('inspect')
    .summary('what a migration stream holds')
    .description(
      'List the header, configuration and sections of a migration stream. Checks its structure and header checksums; verify checks the payloads too.',
    )
    .addArgument(inputArgument())
    .option('--json', 'print one JSON object, with the first 1000 sections')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy inspect disk.stopcopy
  $ stopcopy inspect disk.stopcopy --json | jq .tags`,
    )
    .action(async (input: string, { json }: Options) => {
      const report = await read(input, 'reading', inspect, terminal.signal)
      if (json) terminal.json({ input, ...report })
      else terminal.print(streamLines(report, terminal.colors))
    })
}

/** Adds `verify`. */
export function addVerify(program: Command, terminal: Terminal): void {
  program
    .command('verify')
    .summary('check every byte of a migration stream')
    .description(
      'Check a migration stream whole: every checksum, the order of its sections, that no page is missing and that nothing follows. Exit code 1 names the section and offset of the first damage.',
    )
    .addArgument(inputArgument())
    .option('--json', 'print one JSON object, with the first 1000 sections')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy verify disk.stopcopy
  $ stopcopy save bulk --memory disk.img -o - | stopcopy verify -`,
    )
    .action(async (input: string, { json }: Options) => {
      const startMs = performance.now()
      const report = await read(input, 'verifying', verify, terminal.signal)
      const elapsedMs = performance.now() - startMs
      if (json) terminal.json({ input, elapsedMs, ...report })
      else terminal.print(verdict(input, report, elapsedMs))
    })
}

type Survey = (source: ReturnType<typeof openSource>, options: SurveyOptions) => Promise<StreamReport>

async function read(
  input: string,
  label: string,
  survey: Survey,
  signal: AbortSignal,
): Promise<StreamReport> {
  const source = openSource(input)
  try {
    return await withProgress(label, ({ update }) => survey(source, { signal, onProgress: update }))
  } finally {
    // A reader of stdin that stopped early must not wait for its end.
    await settle(() => source.cancel(undefined))
  }
}

function verdict(input: string, report: StreamReport, elapsedMs: number): string[] {
  const { header, bytes, sectionCount, regions } = report
  const pages = regions.reduce((total, { byteLength }) => total + Math.ceil(byteLength / 4096), 0)
  const memory = regions.length === 0 ? [] : [`  all ${formatCount(pages)} memory pages are there`]
  return [
    `${isStdio(input) ? 'stdin' : input} is whole: device "${printable(header.deviceType)}", ${formatBytes(bytes)} in ${formatCount(sectionCount)} sections`,
    '  checksums of the header and of every section and payload match',
    ...memory,
    '  order, lengths, totals and digest are right, and nothing follows the end',
    `  ${formatTransfer(bytes, elapsedMs)}`,
  ]
}
