/**
 * `stopcopy save DEVICE -o OUT`.
 *
 * @module
 */

import { type Command, Option } from 'commander'
import type { Compression } from '../../driver/index.ts'
import { save, type SaveReport } from '../../migrate/index.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import { formatTransfer } from '../byte-size.ts'
import { deviceArgument } from '../arguments.ts'
import { type DeviceSpec, noMemory } from '../device-spec.ts'
import { UsageError } from '../failure.ts'
import { openNamed, type OpenedDevice } from '../open-device.ts'
import { withProgress } from '../progress.ts'
import { withFate } from '../served-device.ts'
import { isStdio, openSink } from '../stdio.ts'
import type { Terminal } from '../terminal.ts'
import { checkMemoryFile, memoryOption } from '../workload-options.ts'

interface Options {
  readonly output: string
  readonly memory?: string
  readonly compress: Compression
  readonly run?: true
  readonly json?: true
}

/** Adds the command. */
export function addSave(program: Command, terminal: Terminal): void {
  program
    .command('save')
    .summary('a device into a migration stream')
    .description(
      'Create a device, have a module of yours make one, or take the one of a vfio-user server, stop it and write its state as a checked migration stream. A device of a server stays in STOP.',
    )
    .addArgument(deviceArgument())
    .requiredOption('-o, --output <file>', 'the stream; written beside and renamed on success; - is stdout')
    .addOption(memoryOption())
    .addOption(
      new Option('--compress <method>', 'how the memory of the bulk device is sent; lz4 is for slow links')
        .choices(['none', 'lz4'])
        .default('none'),
    )
    .option('--run', 'let the device of a vfio-user server run on, once it is saved')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy save bulk --memory disk.img -o disk.stopcopy
  $ stopcopy save bulk:size=1.5GiB,seed=7 -o bulk.stopcopy
  $ stopcopy save mtty:ports=2 -o mtty.stopcopy
  $ stopcopy save ./my-device.mjs -o my-device.stopcopy
  $ stopcopy save vfio-user:/run/device.sock --run -o device.stopcopy
  $ stopcopy save bulk -m a.img --compress lz4 -o - | ssh host stopcopy verify -`,
    )
    .action((spec: DeviceSpec, options: Options) => saveDevice(spec, options, terminal))
}

async function saveDevice(spec: DeviceSpec, options: Options, terminal: Terminal): Promise<void> {
  checkOptions(spec, options)
  if (isStdio(options.output)) terminal.leaveStdout()
  const opened = await openNamed(spec, options.memory, { compression: options.compress }, terminal.signal)
  try {
    const { signal } = terminal
    const finalState = options.run ? DeviceState.RUNNING : DeviceState.STOP
    const report = await withProgress('saving', ({ update }) =>
      save(opened.device, openSink(options.output), { signal, onProgress: update, finalState }),
    )
    if (options.json) {
      const state = deviceStateName(report.state)
      const { options: device } = opened
      const at = opened.describe?.()
      terminal.json({ device, output: options.output, at, report: { ...report, state } })
    } else terminal.print(lines(opened, options.output, report))
  } catch (error) {
    throw withFate(error, opened)
  } finally {
    await opened.close()
  }
}

function checkOptions(spec: DeviceSpec, { memory, compress, output, run, json }: Options): void {
  if (json && isStdio(output))
    throw new UsageError('Cannot print JSON: stdout carries the stream, write it to a file')
  if (compress !== 'none' && spec.type !== 'bulk')
    throw new UsageError(`Cannot compress memory: ${noMemory(spec)}, leave --compress out`)
  if (run && spec.type !== 'vfio-user')
    throw new UsageError(
      `Cannot let ${spec.type === 'module' ? 'the device' : spec.type} run on: it ends with the command, leave --run out`,
    )
  checkMemoryFile(spec, memory)
}

function lines(
  { name, options, describe }: OpenedDevice,
  output: string,
  { bytes, elapsedMs, state }: SaveReport,
): string[] {
  const to = isStdio(output) ? 'stdout' : output
  const now = options.socket === undefined ? '' : `; it is in ${deviceStateName(state)}`
  const at = describe?.()
  const place = at === undefined ? '' : ` at ${at}`
  return [`Saved ${name}${place} to ${to}${now}:`, `  ${formatTransfer(bytes, elapsedMs)}`]
}
