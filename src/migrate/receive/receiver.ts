/**
 * Receives migrations: as many connections as come, one migration at a time.
 *
 * @module
 */

import type { MigrationDevice } from '../../device/migration-device.ts'
import { type Awaitable, VfioError } from '../../errors.ts'
import { type ByteDuplex, byteDuplex, type DuplexLike, settle } from '../../transport/index.ts'
import { within } from '../handover/deadline.ts'
import { guestMemoryDestination } from '../guest-memory.ts'
import type { OutgoingMessage } from '../handover/frame.ts'
import { type Frame, FrameReader } from '../handover/frame-reader.ts'
import { FrameWriter, linkFailure } from '../handover/frame-writer.ts'
import { answerFor, incomingHandover, outcomeOf, rememberOutcome } from '../handover/known-handovers.ts'
import { MessageType, messageName } from '../handover/message-type.ts'
import { decodeHello, encodeFailure, type Hello } from '../handover/payloads.ts'
import { checkTicket } from '../handover/ticket.ts'
import { asFailure } from '../recovery.ts'
import { rehearse } from '../rehearse.ts'
import { DeviceState } from '../../uapi/state.ts'
import { checkOffer, commonVersion } from './compatibility.ts'
import { DestinationDevices } from './destination-devices.ts'
import { IncomingMigration } from './incoming-migration.ts'
import { type ReceiveOptions, receiveDefaults } from './receive-options.ts'
import type { ReceiveReport } from './receive-report.ts'

/** The devices to receive into, or what opens them to fit what a source offers. */
export type ReceiveTarget =
  MigrationDevice | readonly MigrationDevice[] | ((offer: Hello) => Awaitable<readonly MigrationDevice[]>)

/**
 * Takes connections of sources and brings their devices here. A peer that is refused or breaks off costs
 * nothing: the next one can come.
 *
 * @example
 * ```ts
 * const receiver = new Receiver(device)
 * await listen('unix:/tmp/stopcopy.sock', (connection) => {
 *   receiver.accept(connection).then(console.log, console.error)
 * })
 * ```
 */
export class Receiver {
  readonly #target: ReceiveTarget
  readonly #options: ReturnType<typeof receiveDefaults>
  #current: IncomingMigration | undefined
  /** Connections that came before their migration's HELLO was looked at. */
  readonly #early = new Set<() => void>()
  #claimed = false
  /** Devices that were received here. */
  readonly #arrived = new WeakSet<MigrationDevice>()

  /** A receiver for devices, which it touches when a migration comes. */
  constructor(target: ReceiveTarget, options: ReceiveOptions = {}) {
    this.#target = target
    this.#options = receiveDefaults(options)
    const { leftTicket } = options
    if (leftTicket === undefined) return
    const { id, role, phase } = checkTicket(leftTicket)
    if (role === 'destination' && phase === 'ready') rememberOutcome(id, MessageType.DISCARDED)
  }

  /**
   * Serves one connection to its end.
   *
   * @returns the report when the connection began a migration and the devices are here; undefined for a
   * further connection of one, and for one that only asked how a hand-over ended
   * @throws {@link VfioError} what the peer did wrong, or what went wrong; after a failed migration the
   * devices are in STOP, with power-on content
   */
  async accept(connection: DuplexLike): Promise<ReceiveReport | undefined> {
    const duplex = byteDuplex(connection)
    let migration: IncomingMigration | undefined
    const writer = new FrameWriter(duplex)
    const reader = new FrameReader(duplex, () => migration?.touch())
    try {
      const { helloTimeoutMs } = this.#options
      const first = await within(
        reader.next(),
        helloTimeoutMs,
        () => new VfioError('ETIMEDOUT', 'Cannot receive: the peer did not say what it wants in time'),
      )
      if (first === undefined) return undefined
      if (first.type === MessageType.HELLO) {
        migration = await this.#begin(first, writer)
        return await this.#serveMigration(migration, first, reader, writer)
      }
      if (first.type === MessageType.ATTACH) {
        migration = await this.#find(first.id)
        await this.#serveData(migration, reader)
        return undefined
      }
      await serveQuestions(first, reader, writer)
      return undefined
    } catch (error) {
      const failure = linkFailure(error, 'use')
      await settle(() => writer.abort(failure))
      throw failure
    } finally {
      const over = new VfioError('ECANCELED', 'Cannot use the connection: the migration is over')
      // What was said last must get through before the connection goes.
      await settle(() => within(writer.close(), FAREWELL_MS, () => over))
      await settle(() => reader.cancel(over))
      await settle(() => writer.abort(over))
    }
  }

  /** Opens and checks the devices. What is wrong is told to the source as REFUSED. */
  async #begin(first: Frame, writer: FrameWriter): Promise<IncomingMigration> {
    try {
      if (incomingHandover(first.id) !== undefined || outcomeOf(first.id) !== undefined)
        throw new VfioError('EINVAL', 'Cannot receive: a migration of this id was here before, migrate anew')
      if (this.#claimed)
        throw new VfioError('EBUSY', 'Cannot receive: another migration is under way, try again later')
      this.#claimed = true
      try {
        return await this.#open(first, decodeHello(first.payload), writer)
      } catch (error) {
        this.#claimed = false
        throw error
      }
    } catch (error) {
      const failure = asFailure(error, 'receive')
      const message = { type: MessageType.REFUSED, payload: encodeFailure(failure) }
      await within(writer.message(first.id, message), FAREWELL_MS, () => failure).catch(() => {})
      await settle(() => within(writer.close(), FAREWELL_MS, () => failure))
      throw failure
    }
  }

  async #open(first: Frame, hello: Hello, writer: FrameWriter): Promise<IncomingMigration> {
    refusing(() => commonVersion(hello.versions))
    const { memory } = this.#options
    const opened = await this.#devices(hello)
    const all = memory === undefined ? opened : [...opened, guestMemoryDestination(memory)]
    refusing(() =>
      checkOffer(
        hello,
        all.map(({ identity }) => identity),
        memory !== undefined,
      ),
    )
    if (this.#options.rehearse !== false) await rehearse(opened, acceptRehearsal)
    for (const device of opened) await this.#checkFree(device)
    const devices = new DestinationDevices(all, this.#options.worker)
    await devices.check()
    const migration = new IncomingMigration(first.id, hello, devices, this.#options, (message) =>
      writer.message(first.id, message),
    )
    this.#current = migration
    void this.#releaseWhenDecided(migration, opened)
    for (const look of this.#early) look()
    return migration
  }

  async #releaseWhenDecided(
    migration: IncomingMigration,
    devices: readonly MigrationDevice[],
  ): Promise<void> {
    // Not when it is undecided: it still needs the devices.
    const isHere = await migration.decided
    if (isHere) for (const device of devices) this.#arrived.add(device)
    this.#current = undefined
    this.#claimed = false
  }

  /** A device that came here is not written over while it works; one that went on to elsewhere is stopped. */
  async #checkFree(device: MigrationDevice): Promise<void> {
    if (!this.#arrived.has(device) || (await device.state()) === DeviceState.STOP) return
    throw new VfioError(
      'EBUSY',
      `Cannot receive: the ${device.identity.type} here runs what was received before, send to another receiver`,
    )
  }

  async #devices(hello: Hello): Promise<readonly MigrationDevice[]> {
    if (typeof this.#target === 'function') return this.#target(hello)
    return Array.isArray(this.#target)
      ? (this.#target as readonly MigrationDevice[])
      : [this.#target as MigrationDevice]
  }

  async #serveMigration(
    migration: IncomingMigration,
    first: Frame,
    reader: FrameReader,
    writer: FrameWriter,
  ): Promise<ReceiveReport> {
    const { signal, lingerMs } = this.#options
    const cancel = (): void => {
      const cause: unknown = signal?.reason
      void migration.fail(new VfioError('ECANCELED', 'Cannot receive: it was canceled here', { cause }))
    }
    signal?.addEventListener('abort', cancel)
    if (signal?.aborted === true) cancel()
    const send = (message: OutgoingMessage): Promise<void> => writer.message(first.id, message)
    const welcome = await migration.prepare()
    if (!migration.isOver) send(welcome).catch((error: unknown) => lost(migration, error))
    const serving = this.#serveFrames(migration, reader, send)
    // A lost RUNNING is asked for again, on this connection as long as there is one. After a failure the
    // source must have the time to read of it: closing at once could take that from it.
    let serveMs = FAREWELL_MS
    try {
      const report = await migration.settled
      serveMs = lingerMs
      return report
    } finally {
      signal?.removeEventListener('abort', cancel)
      await settle(() => within(serving, serveMs, () => new Error('the source keeps the connection')))
    }
  }

  /** Serves the connection with the control messages until it ends; never rejects. */
  async #serveFrames(
    migration: IncomingMigration,
    reader: FrameReader,
    send: (message: OutgoingMessage) => Promise<void>,
  ): Promise<void> {
    try {
      for (let frame = await reader.next(); frame !== undefined; frame = await reader.next()) {
        checkId(frame, migration.id)
        if (frame.type === MessageType.DATA) await takeData(migration, frame, reader)
        // Not awaited: a load must not keep CANCEL from being read.
        else void answer(migration, frame, send)
      }
      await migration.linkLost(
        new VfioError('EPIPE', 'Cannot receive: the source closed the connection before it committed'),
      )
    } catch (error) {
      await lost(migration, error)
    }
  }

  /** A further connection: only data. */
  async #serveData(migration: IncomingMigration, reader: FrameReader): Promise<void> {
    try {
      for (let frame = await reader.next(); frame !== undefined; frame = await reader.next()) {
        checkId(frame, migration.id)
        // Said again, it is passed over.
        if (frame.type === MessageType.ATTACH) continue
        if (frame.type !== MessageType.DATA)
          throw new VfioError(
            'EPROTO',
            `Cannot receive: ${messageName(frame.type)} came over a data connection`,
          )
        await takeData(migration, frame, reader)
      }
    } catch (error) {
      await lost(migration, error)
      throw error
    }
  }

  /** The migration of a further connection, which may come before HELLO was looked at. */
  async #find(id: string): Promise<IncomingMigration> {
    if (this.#current?.id === id) return this.#current
    if (outcomeOf(id) !== undefined)
      throw new VfioError(
        'EPROTO',
        'Cannot receive: a connection came to a migration that is over, migrate anew',
      )
    const { helloTimeoutMs } = this.#options
    let look: (() => void) | undefined
    const found = new Promise<IncomingMigration>((resolve) => {
      look = () => {
        if (this.#current?.id === id) resolve(this.#current)
      }
      this.#early.add(look)
    })
    try {
      return await within(
        found,
        helloTimeoutMs,
        () => new VfioError('EPROTO', 'Cannot receive: a connection belongs to no migration here'),
      )
    } finally {
      this.#early.delete(look as () => void)
    }
  }
}

/** The destination's side of a rehearsal. */
export async function acceptRehearsal(device: MigrationDevice, duplex: ByteDuplex): Promise<void> {
  await new Receiver(device, { rehearse: false }).accept(duplex)
}

/** Longest wait for a peer that may not read. */
const FAREWELL_MS = 1000

async function answer(
  migration: IncomingMigration,
  frame: Frame,
  send: (message: OutgoingMessage) => Promise<void>,
): Promise<void> {
  try {
    const message = await migration.handle(frame)
    if (message !== undefined) await send(message)
  } catch (error) {
    await lost(migration, error)
  }
}

/** What is wrong with the bytes ends the migration, not the connection: the source is told over it. */
async function takeData(migration: IncomingMigration, frame: Frame, reader: FrameReader): Promise<void> {
  if (migration.isOver) return
  try {
    await migration.data(frame, reader)
  } catch (error) {
    await lost(migration, error)
  }
}

async function lost(migration: IncomingMigration, error: unknown): Promise<void> {
  await migration.linkLost(linkFailure(error, 'use'))
}

/** A connection that is not part of a migration: asks how hand-overs ended, and commits cut ones. */
async function serveQuestions(first: Frame, reader: FrameReader, writer: FrameWriter): Promise<void> {
  for (let frame: Frame | undefined = first; frame !== undefined; frame = await reader.next()) {
    if (frame.type === MessageType.DATA)
      throw new VfioError('EPROTO', 'Cannot receive: data came before HELLO, migrate again')
    const message = await answerFor(frame)
    if (message !== undefined) await writer.message(frame.id, message)
  }
}

function checkId(frame: Frame, id: string): void {
  if (frame.id === id) return
  throw new VfioError('EPROTO', 'Cannot receive: a message of another migration came, use a new connection')
}

function refusing(check: () => void): void {
  try {
    check()
  } catch (error) {
    const failure = asFailure(error, 'receive')
    throw new VfioError(failure.code, `Cannot receive: ${failure.message}`)
  }
}
