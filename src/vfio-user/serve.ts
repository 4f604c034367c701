/**
 * A device served over vfio-user.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import type { PciFunction } from '../device/pci-function.ts'
import { VfioError } from '../errors.ts'
import type { ByteDuplex } from '../transport/index.ts'
import { ClientMemory } from './client-memory.ts'
import { createConfigSpace } from './config-space.ts'
import { fdPassingOf } from './fd-passing.ts'
import { Interrupts } from './interrupts.ts'
import { leaveDevice } from './leave-device.ts'
import type { ChooseMemoryAccess, MemoryAccess } from './memory-access.ts'
import { MessageOutlet } from './message-outlet.ts'
import { type ServerQuirks, SERVER_QUIRKS } from './quirks.ts'
import { refuseClient } from './refuse-client.ts'
import { RemoteDma } from './remote-dma.ts'
import type { ServeEvent, ServeReport } from './serve-report.ts'
import type { ServedClient, ServerSettings } from './served-client.ts'
import { ServedMigration } from './served-migration.ts'
import { ServerConnection } from './server-connection.ts'
import { DEFAULT_MAX_DATA_BYTES, DEFAULT_MAX_FDS } from './version.ts'

/** Descriptors of one message that a server with descriptors takes: libvfio-user's number. */
const MESSAGE_FDS = 8
/** Most that QEMU lets a server say. */
const MOST_MESSAGE_FDS = 16
const DMA_TIMEOUT_MS = 5000
const READY_TIMEOUT_MS = 5000
const DMA_READ_BYTES = 32 * 1024

/** Options of {@link serveVfioUser}. */
export interface ServeOptions {
  /** The device as its bus shows it. */
  readonly pci: PciFunction
  /** Most bytes of data in one message, both ways; 4096 to 16 MiB, default 1 MiB. */
  readonly maxDataBytes?: number
  /** Most descriptors of one message; 1 to 16, default 8, without descriptors 1. */
  readonly maxMessageFds?: number
  /** How memory that comes with a file is reached, all of it or each region as asked. Default 'mapped'. */
  readonly memoryAccess?: MemoryAccess | ChooseMemoryAccess
  /** Default as {@link SERVER_QUIRKS}. */
  readonly quirks?: Partial<ServerQuirks>
  /**
   * DEVICE_RESET as libvfio-user has it: EINVAL in STOP and STOP_COPY, and a device that saves or is loaded keeps
   * its state. Default false, the kernel's way: RUNNING from every state.
   */
  readonly resetKeepsState?: boolean
  /**
   * The device outlives its client as it is. Default false: it is reset when the client is gone, so that the next
   * one finds it at power-on. True is for migrations over one connection and use over another: RUNNING and STOP
   * stay, PRE_COPY goes on to RUNNING, STOP_COPY to STOP; what was being loaded is reset all the same, since half
   * of a state is none.
   */
  readonly keepState?: boolean
  /**
   * Most bytes that one DMA_READ asks for, 1024 to 16 MiB; default 32 KiB. QEMU 11 writes a reply once and loses
   * what its socket does not take; the kernel takes so many bytes as a whole or not at all.
   */
  readonly dmaReadBytes?: number
  /** Longest wait for the client's answer to a DMA request, milliseconds; default 5000. */
  readonly dmaTimeoutMs?: number
  /**
   * How long a MIG_DATA_READ or WRITE may wait for a device that is not ready, milliseconds; then it is answered with
   * what there is, or EAGAIN. Default 5000.
   */
  readonly readyTimeoutMs?: number
  /** Stops serving; the device is left as when the client leaves. */
  readonly signal?: AbortSignal
  /** Told what happens, as it does. */
  readonly onEvent?: (event: ServeEvent) => void
}

/** A device's client. */
interface Serving {
  /** It has gone, and what it had is being cleared away. */
  isLeaving: boolean
  readonly done: Promise<unknown>
}

/** Devices that have a client now. */
const served = new WeakMap<MigrationDevice, Serving>()

/**
 * Serves one client of vfio-user until it is gone. A device can have several, one after the other: call again for
 * each; one that comes when the last one has just gone waits until the device is ready, a second one at the same
 * time is answered EBUSY.
 *
 * What the client sends is never believed: it can at most use up its own connection. When it is gone its memory is
 * unmapped, its eventfds are closed, and the device is left as `keepState` says.
 *
 * @param duplex - the connection, which this closes; one with `fds` passes descriptors: without them there are no
 * interrupts, and the device reaches all memory by messages
 * @returns how it went, also when the client broke the protocol or the connection broke
 * @throws {@link VfioError} EINVAL an option out of range; EBUSY the device has a client
 */
export async function serveVfioUser(
  device: MigrationDevice,
  duplex: ByteDuplex,
  options: ServeOptions,
): Promise<ServeReport> {
  const settings = settingsOf(options, fdPassingOf(duplex) !== undefined)
  for (let last = served.get(device); last !== undefined; last = served.get(device)) {
    if (!last.isLeaving) return refuseClient(duplex, busy(), options.signal)
    await last.done
  }
  let finish!: (value: unknown) => void
  const serving: Serving = { isLeaving: false, done: new Promise((resolve) => (finish = resolve)) }
  served.set(device, serving)
  try {
    return await serve(device, duplex, settings, { ...options, onLeaving: () => (serving.isLeaving = true) })
  } finally {
    served.delete(device)
    finish(undefined)
  }
}

async function serve(
  device: MigrationDevice,
  duplex: ByteDuplex,
  settings: ServerSettings,
  options: ServeOptions & { readonly onLeaving: () => void },
): Promise<ServeReport> {
  const { pci, signal } = options
  const fds = fdPassingOf(duplex)
  const gone = new AbortController()
  const config = createConfigSpace(pci)
  const outlet = new MessageOutlet(duplex, fds)
  const remote: RemoteDma = new RemoteDma(outlet, {
    timeoutMs: settings.dmaTimeoutMs,
    maxReadBytes: settings.dmaReadBytes,
    maxDataBytes: () =>
      Math.min(
        settings.maxDataBytes,
        client.version?.capabilities.max_data_xfer_size ?? DEFAULT_MAX_DATA_BYTES,
      ),
    onAwait: (isAwaited) => connection.awaitReply(isAwaited),
  })
  const mayMaster = (): boolean => !settings.quirks.requireBusMaster || config.busMaster
  const client: ServedClient = {
    settings,
    pci,
    config,
    regions: device.regions,
    migration: new ServedMigration(device),
    memory: new ClientMemory({ remote, fds, mayMaster }),
    interrupts: new Interrupts(pci, fds),
    fds,
    gone: gone.signal,
    version: undefined,
    tell: (event) => options.onEvent?.(event),
  }
  const connection = new ServerConnection({
    duplex,
    outlet,
    remote,
    client,
    leave: () => {
      options.onLeaving()
      const reason = new VfioError('ENODEV', 'Cannot go on: the client is gone, wait for the next one')
      remote.fail(reason)
      gone.abort(reason)
    },
  })
  let unplug: () => void
  try {
    unplug = pci.connect({
      memory: client.memory,
      raise: (vector) => client.interrupts.raise(vector),
    })
  } catch (error) {
    return refuseClient(duplex, error, signal)
  }
  const end = await endOf(() => connection.run(signal), signal)
  unplug()
  const state = await leaveDevice(client)
  const { commands, refused } = connection
  return { client: client.version, commands, refused, ...end, state }
}

async function endOf(
  run: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<Pick<ServeReport, 'ended' | 'reason'>> {
  try {
    await run()
    return { ended: 'left', reason: undefined }
  } catch (error) {
    const reason = VfioError.is(error)
      ? error
      : new VfioError('ECANCELED', 'Cannot go on: serving was stopped, see the cause', { cause: error })
    if (signal?.aborted === true) return { ended: 'stopped', reason }
    const isProtocol = ['EPROTO', 'EMSGSIZE', 'EINVAL', 'ENOMEM'].includes(reason.code)
    return { ended: isProtocol ? 'refused' : 'lost', reason }
  }
}

function settingsOf(options: ServeOptions, hasFds: boolean): ServerSettings {
  const { maxDataBytes = DEFAULT_MAX_DATA_BYTES, dmaTimeoutMs = DMA_TIMEOUT_MS } = options
  const { readyTimeoutMs = READY_TIMEOUT_MS } = options
  const { dmaReadBytes = DMA_READ_BYTES } = options
  const { maxMessageFds = hasFds ? MESSAGE_FDS : DEFAULT_MAX_FDS } = options
  checkRange('maxDataBytes', maxDataBytes, 4096, 16 * 1024 * 1024)
  checkRange('maxMessageFds', maxMessageFds, 1, MOST_MESSAGE_FDS)
  checkRange('dmaReadBytes', dmaReadBytes, 1024, 16 * 1024 * 1024)
  checkRange('dmaTimeoutMs', dmaTimeoutMs, 1, 0x7fff_ffff)
  checkRange('readyTimeoutMs', readyTimeoutMs, 1, 0x7fff_ffff)
  return {
    maxDataBytes,
    maxMessageFds,
    dmaReadBytes,
    dmaTimeoutMs,
    readyTimeoutMs,
    memoryAccess: options.memoryAccess ?? 'mapped',
    resetKeepsState: options.resetKeepsState ?? false,
    keepState: options.keepState ?? false,
    quirks: { ...SERVER_QUIRKS, ...options.quirks },
  }
}

function checkRange(name: string, value: number, lowest: number, highest: number): void {
  if (Number.isSafeInteger(value) && value >= lowest && value <= highest) return
  throw new VfioError('EINVAL', `Cannot serve: ${name} is ${value}, use ${lowest} to ${highest}`)
}

function busy(): VfioError {
  return new VfioError('EBUSY', 'Cannot serve: the device has a client, wait until that is gone')
}
