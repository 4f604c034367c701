/**
 * `stopcopy restore DEVICE IN`.
 *
 * @module
 */

import type { Command } from 'commander'
import { VfioError } from '../../errors.ts'
import { type Prelude, readPrelude, restore, type RestoreReport } from '../../migrate/index.ts'
import { checkIdentity } from '../../migrate/receive/compatibility.ts'
import { fileSink } from '../../node/index.ts'
import { type ByteSource, settle } from '../../transport/index.ts'
import { DeviceState, deviceStateName } from '../../uapi/state.ts'
import {
  checkMaxMemory,
  deviceArgument,
  inputArgument,
  MAX_MEMORY_BYTES,
  maxMemoryOption,
} from '../arguments.ts'
import { formatTransfer } from '../byte-size.ts'
import { storeMemory } from '../device-memory.ts'
import { type DeviceSpec, noMemory } from '../device-spec.ts'
import { UsageError } from '../failure.ts'
import { type OpenedDevice, openCounterpart } from '../open-device.ts'
import { withProgress } from '../progress.ts'
import { withFate } from '../served-device.ts'
import { isStdio, openSource } from '../stdio.ts'
import type { Terminal } from '../terminal.ts'

interface Options {
  readonly memoryOut?: string
  readonly maxMemory?: number
  readonly run?: true
  readonly json?: true
}

/** Adds the command. */
export function addRestore(program: Command, terminal: Terminal): void {
  program
    .command('restore')
    .summary('a device from a migration stream')
    .description(
      'Create a device that fits a migration stream, have a module of yours make it, or take the one of a vfio-user server, and load it. All is verified; the device stays in STOP, so that what it holds is what was saved.',
    )
    .addArgument(deviceArgument())
    .addArgument(inputArgument())
    .option(
      '-m, --memory-out <file>',
      "write the device's memory here; written beside and renamed on success",
    )
    .addOption(maxMemoryOption())
    .option('--run', 'let the device of a vfio-user server run, once it is loaded')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ stopcopy restore bulk disk.stopcopy --memory-out copy.img
  $ stopcopy restore mtty:ports=2 mtty.stopcopy
  $ stopcopy restore ./my-device.mjs my-device.stopcopy
  $ stopcopy restore vfio-user:/run/device.sock device.stopcopy --run
  $ ssh host cat disk.stopcopy | stopcopy restore bulk - --memory-out copy.img`,
    )
    .action((spec: DeviceSpec, input: string, options: Options) =>
      restoreDevice(spec, input, options, terminal),
    )
}

async function restoreDevice(
  spec: DeviceSpec,
  input: string,
  options: Options,
  terminal: Terminal,
): Promise<void> {
  const { memoryOut, run } = options
  if (run && spec.type !== 'vfio-user')
    throw new UsageError(
      `Cannot let ${spec.type === 'module' ? 'the device' : spec.type} run: it ends with the command, leave --run out`,
    )
  checkMaxMemory(spec, options.maxMemory)
  if (memoryOut !== undefined && spec.type !== 'bulk')
    throw new UsageError(`Cannot write memory: ${noMemory(spec)}, leave --memory-out out`)
  if (memoryOut !== undefined && isStdio(memoryOut))
    throw new UsageError('Cannot write memory to stdout: it is written beside a file and renamed, name one')
  const { opened, source } = await openDestination(
    spec,
    openSource(input),
    options.maxMemory ?? MAX_MEMORY_BYTES,
    terminal.signal,
  )
  try {
    const finalState = run ? DeviceState.RUNNING : DeviceState.STOP
    const report = await load(opened, source, { memoryOut, finalState }, terminal.signal)
    if (options.json) {
      const state = deviceStateName(report.state)
      terminal.json({
        device: opened.options,
        input,
        memoryOut: memoryOut ?? null,
        at: opened.describe?.(),
        report: { ...report, state },
      })
    } else terminal.print(lines(opened, input, memoryOut, report))
  } catch (error) {
    throw withFate(error, opened)
  } finally {
    await opened.close()
  }
}

/** Reads the front of the stream and makes the device that fits it. */
async function openDestination(
  spec: DeviceSpec,
  input: ByteSource,
  maxMemory: number,
  signal: AbortSignal,
): Promise<{ opened: OpenedDevice; source: ByteSource }> {
  // Whoever waits for stdin is woken by its end.
  const cancel = (): void => void settle(() => input.cancel(signal.reason))
  signal.addEventListener('abort', cancel)
  try {
    const prelude = await readPrelude(input)
    const { header, configuration, source } = prelude
    const { deviceType: type, deviceVersion: version } = header
    const elsewhere = { type, version, configuration, action: 'restore' } as const
    const opened = await openCounterpart(spec, elsewhere, maxMemory, signal)
    await checkPrelude(spec, prelude, opened)
    return { opened, source }
  } catch (error) {
    await settle(() => input.cancel(error))
    throw error
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}

/**
 * Compares the device with the front of the stream, before it leaves the state it is in. Those of this package are made
 * to fit, and say better where the stream differs.
 */
async function checkPrelude(
  spec: DeviceSpec,
  { header, configuration }: Prelude,
  { device, name, close }: OpenedDevice,
): Promise<void> {
  if (spec.type !== 'vfio-user' && spec.type !== 'module') return
  const { deviceType: type, deviceVersion: version, fingerprint, opaque } = header
  const stream = opaque ? 'opaque' : 'stopcopy'
  try {
    checkIdentity({ type, version, fingerprint, stream, configuration }, device.identity, 'stream')
  } catch (error) {
    await close()
    if (!VfioError.is(error)) throw error
    throw new VfioError(error.code, `Cannot restore ${name}: ${error.message}`, { cause: error })
  }
}

/** Restores, then writes the memory; on any failure nothing of the output is left. */
async function load(
  { device, memory }: OpenedDevice,
  source: ByteSource,
  { memoryOut, finalState }: { memoryOut: string | undefined; finalState: DeviceState },
  signal: AbortSignal,
): Promise<RestoreReport> {
  const sink = memoryOut === undefined ? undefined : fileSink(memoryOut)
  try {
    // First, so that a name that cannot be written fails before the work.
    await sink?.open?.()
    const report = await withProgress('restoring', ({ update }) =>
      restore(device, source, { signal, onProgress: update, finalState }),
    )
    if (sink !== undefined && memory !== undefined) {
      await withProgress('writing memory', ({ update }) =>
        storeMemory(memory, sink, { signal, onProgress: update }),
      )
      signal.throwIfAborted()
      await sink.close()
    }
    return report
  } catch (error) {
    await settle(() => source.cancel(error))
    await settle(async () => sink?.abort(error))
    throw error
  }
}

function lines(
  { name, describe }: OpenedDevice,
  input: string,
  memoryOut: string | undefined,
  { bytes, elapsedMs, state }: RestoreReport,
): string[] {
  const at = describe?.()
  const place = at === undefined ? '' : ` at ${at}`
  return [
    `Restored ${name} from ${isStdio(input) ? 'stdin' : input}; it is in ${deviceStateName(state)}${place}:`,
    `  ${formatTransfer(bytes, elapsedMs)}`,
    ...(memoryOut === undefined ? [] : [`  its memory is in ${memoryOut}`]),
  ]
}
