/**
 * One client's connection: commands in, answers out, in order and one at a time.
 *
 * @module
 */

import { Errno, VfioError } from '../errors.ts'
import { type ByteDuplex, settle } from '../transport/index.ts'
import { FeatureHeader } from '../uapi/structs/feature-header.ts'
import { VFIO_DEVICE_FEATURE_SET } from '../uapi/features.ts'
import { VfioUserCommand, commandName } from './command.ts'
import { type Answer, errnoOf } from './command-answer.ts'
import { CommandQueue, type QueuedCommand } from './command-queue.ts'
import { dispatch } from './dispatch.ts'
import type { FdPassing } from './fd-passing.ts'
import { errorHeader, HEADER_BYTES, type MessageHeader, replyHeader } from './header.ts'
import { type IncomingMessage, MessageIntake } from './message-intake.ts'
import type { MessageOutlet } from './message-outlet.ts'
import { PayloadBuffers } from './payload-buffers.ts'
import type { RemoteDma } from './remote-dma.ts'
import { serveVersion } from './serve-version.ts'
import type { ServedClient } from './served-client.ts'
import { RegionAccess } from './structs.ts'

/** The longest head before data. */
const HEAD_BYTES = 16
/** Room for a START with many ranges where messages of data are short. */
const SMALLEST_LIMIT = 65_536
/** A reply shorter than this is written in one piece. */
const SMALL_REPLY = 4096
const SMALL_PIECE = 64

/** Answers to reads of the stream that may be in writing while the next one is put together. */
const MOST_UNSENT = 1

/** What a connection works with. */
export interface ServerConnectionParts {
  readonly duplex: ByteDuplex
  readonly outlet: MessageOutlet
  readonly remote: RemoteDma
  readonly client: ServedClient
  /** The client is gone: ends what waits for it. */
  readonly leave: () => void
}

/** Reads and answers until one side is gone. */
export class ServerConnection {
  commands = 0
  refused = 0
  readonly #parts: ServerConnectionParts
  readonly #intake: MessageIntake
  readonly #queue: CommandQueue
  readonly #buffers: PayloadBuffers
  /** Answers that are being written, oldest first. */
  readonly #sending: Promise<void>[] = []
  #lastHeader: MessageHeader | undefined
  /** Descriptors of the message that is being read. */
  #arriving: number[] = []

  constructor(parts: ServerConnectionParts) {
    this.#parts = parts
    const maxPayload = Math.max(SMALLEST_LIMIT, parts.client.settings.maxDataBytes + HEAD_BYTES)
    this.#buffers = new PayloadBuffers(maxPayload)
    this.#intake = new MessageIntake(parts.duplex, {
      maxBytes: HEADER_BYTES + maxPayload,
      onHeader: (header) => {
        this.#lastHeader = header
        this.#takeFds()
      },
      // What the device reads of its client is copied later, when the next message may be here already.
      place: ({ type }, payloadBytes) => (type === 'reply' ? undefined : this.#buffers.take(payloadBytes)),
      onMessage: (message) => this.#receive(message),
    })
    this.#queue = new CommandQueue(this.#intake)
  }

  /** Told by the DMA side: reading goes on past the usual bound while its reply is awaited. */
  awaitReply(isAwaited: boolean): void {
    this.#queue.isReplyAwaited = isAwaited
  }

  /**
   * Serves until the client leaves; then nothing of it is under way any more, and the connection is closed. What
   * was not answered by then is not done.
   *
   * @throws {@link VfioError} EPROTO, EMSGSIZE, EINVAL or ENOMEM when the client breaks the protocol, after the
   * answer that says so; the connection's errors; rejects with the signal's reason
   */
  async run(signal?: AbortSignal): Promise<void> {
    const { outlet, duplex, leave } = this.#parts
    const answering = this.#answerAll()
    try {
      await firstOf([this.#intake.run(), answering], signal)
    } catch (error) {
      if (VfioError.is(error, 'EPROTO') || VfioError.is(error, 'EMSGSIZE'))
        await this.#sayBadHeader(answering)
      throw error
    } finally {
      this.#dropAll()
      leave()
      // A client that does not read would keep a write, and what it shows of the device, for ever.
      if (outlet.pending === 0) await settle(() => duplex.close())
      else await settle(() => duplex.abort(undefined))
      await settle(() => duplex.cancel(undefined))
      await settle(() => answering)
      await Promise.allSettled(this.#sending)
      this.#dropAll()
    }
  }

  #receive(message: IncomingMessage): void {
    this.#takeFds()
    const fds = this.#arriving
    this.#arriving = []
    const { header, payload } = message
    if (header.type === 'reply' && this.#parts.remote.accept(message)) {
      this.#close(fds)
      return
    }
    this.#queue.push({ header, payload, fds })
  }

  async #answerAll(): Promise<void> {
    for (let isFirst = true; ; isFirst = false) {
      const command = await this.#queue.next()
      if (command === undefined) break
      try {
        // An answer that is being written may show the device's memory: nothing may change that before.
        if (command.header.command !== VfioUserCommand.MIG_DATA_READ) await this.#sent(0)
        await this.#answer(command, isFirst)
      } finally {
        this.#close(command.fds.splice(0))
        this.#buffers.give(command.payload)
      }
    }
    await this.#sent(0)
  }

  async #answer(command: QueuedCommand, isFirst: boolean): Promise<void> {
    const { client } = this.#parts
    let answer: Answer | undefined
    let failure: VfioError | undefined
    try {
      answer = await this.#serve(command, isFirst)
    } catch (error) {
      client.gone.throwIfAborted()
      failure = VfioError.is(error) ? error : bug(command, error)
    } finally {
      this.#close(command.fds.splice(0))
    }
    this.commands++
    if (failure !== undefined) this.refused++
    client.tell({ kind: 'command', command: commandName(command.header.command), error: failure })
    const sending = this.#sendAnswer(command, answer, failure)
    this.#sending.push(sending)
    // The loop is told when it waits for this one.
    sending.catch(() => {})
    if (isFirst && failure !== undefined) {
      await sending
      throw failure
    }
    if (answer?.idle !== undefined && this.#queue.isEmpty) await this.#sent(0)
    if (this.#queue.isEmpty) answer?.idle?.()
    await this.#sent(MOST_UNSENT)
  }

  /** Waits until at most `most` answers are not written yet. Rejects as the write of one of them. */
  async #sent(most: number): Promise<void> {
    while (this.#sending.length > most) {
      await this.#sending[0]
      void this.#sending.shift()
    }
  }

  async #sendAnswer(
    command: QueuedCommand,
    answer: Answer | undefined,
    failure: VfioError | undefined,
  ): Promise<void> {
    try {
      if (!command.header.noReply) await this.#send(command, answer, failure)
    } finally {
      await answer?.sent?.()
    }
  }

  #serve(command: QueuedCommand, isFirst: boolean): Promise<Answer> {
    const { client } = this.#parts
    const { header, fds } = command
    if (fds.length > client.settings.maxMessageFds) throw refused(`${fds.length} descriptors in one message`)
    if (!isFirst) return dispatch(command, client)
    if (header.type === 'command' && header.command === VfioUserCommand.VERSION)
      return serveVersion(command, client)
    throw refused(`${commandName(header.command)} before VERSION`)
  }

  #send(command: QueuedCommand, answer: Answer | undefined, failure: VfioError | undefined): Promise<void> {
    const { id, command: number } = command.header
    const chunks = answer?.chunks ?? this.#errorPayload(command)
    const payloadBytes = chunks.reduce((sum, { length }) => sum + length, 0)
    const fields = { id, command: number, payloadBytes }
    const header = failure === undefined ? replyHeader(fields) : errorHeader(fields, errnoOf(failure))
    return this.#parts.outlet.send(joined([header, ...chunks], HEADER_BYTES + payloadBytes), answer?.fds)
  }

  /** Behind the header of a refusal: nothing, or what libvfio-user echoes. */
  #errorPayload({ header, payload }: QueuedCommand): Uint8Array[] {
    if (this.#parts.client.settings.quirks.bareErrors) return []
    const { command } = header
    if (command === VfioUserCommand.DEVICE_FEATURE && payload.length >= FeatureHeader.byteLength) {
      const isSet = (FeatureHeader.decode(payload).flags & VFIO_DEVICE_FEATURE_SET) !== 0
      return isSet ? [payload.slice(0, 2 * FeatureHeader.byteLength)] : []
    }
    const isRegion = command === VfioUserCommand.REGION_READ || command === VfioUserCommand.REGION_WRITE
    if (!isRegion || payload.length < RegionAccess.byteLength) return []
    const { count } = RegionAccess.decode(payload)
    const data = count <= this.#parts.client.settings.maxDataBytes ? count : 0
    return [payload.slice(0, RegionAccess.byteLength), new Uint8Array(data)]
  }

  /** Answers what came before a header that cannot be believed, and then that header, if the client reads on. */
  async #sayBadHeader(answering: Promise<void>): Promise<void> {
    const { remote, outlet, client } = this.#parts
    const header = this.#lastHeader
    remote.fail(refused('no more messages can be read'))
    this.#queue.finish()
    const say = async (): Promise<void> => {
      await answering
      if (header === undefined) return
      this.commands++
      this.refused++
      const fields = { id: header.id, command: header.command, payloadBytes: 0 }
      await outlet.send([errorHeader(fields, Errno.EINVAL)])
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, client.settings.dmaTimeoutMs)
    })
    await settle(() => Promise.race([say(), late]))
    clearTimeout(timer)
  }

  get #fds(): FdPassing | undefined {
    return this.#parts.client.fds
  }

  #takeFds(): void {
    if (this.#fds !== undefined) this.#arriving.push(...this.#fds.take())
  }

  #close(fds: readonly number[]): void {
    for (const fd of fds) this.#fds?.close(fd)
  }

  #dropAll(): void {
    for (const { fds } of this.#queue.end()) this.#close(fds)
    this.#takeFds()
    this.#close(this.#arriving)
    this.#arriving = []
  }
}

/** Settles as the first of `works` does, or rejects with the signal's reason. */
async function firstOf(works: readonly Promise<void>[], signal?: AbortSignal): Promise<void> {
  for (const work of works) work.catch(() => {})
  let onAbort: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal?.reason as Error)
    if (signal?.aborted === true) onAbort()
    signal?.addEventListener('abort', onAbort)
  })
  try {
    await Promise.race([...works, aborted])
  } finally {
    signal?.removeEventListener('abort', onAbort as () => void)
  }
}

/** Many small pieces cost more than their copy: those at the front are one, or all of a small reply. */
function joined(chunks: Uint8Array[], byteLength: number): Uint8Array[] {
  let [count, bytes] = [0, 0]
  for (const { length } of chunks) {
    if (byteLength > SMALL_REPLY && length > SMALL_PIECE) break
    count++
    bytes += length
  }
  const front = new Uint8Array(bytes)
  let at = 0
  for (const chunk of chunks.slice(0, count)) {
    front.set(chunk, at)
    at += chunk.length
  }
  return [front, ...chunks.slice(count)]
}

function refused(reason: string): VfioError {
  return new VfioError('EINVAL', `Cannot answer: ${reason}, begin with VERSION and keep to its limits`, {
    syscall: 'vfio-user',
  })
}

function bug({ header }: QueuedCommand, cause: unknown): VfioError {
  return new VfioError(
    'EIO',
    `Cannot answer ${commandName(header.command)}: the device failed, see the cause`,
    {
      syscall: 'vfio-user',
      cause,
    },
  )
}
