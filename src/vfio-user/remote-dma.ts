/**
 * Memory of the client by messages: DMA_READ and DMA_WRITE, which go from the server to the client.
 *
 * One is outstanding at a time: clients in C read the next message and take it for what they wait for.
 *
 * @module
 */

import { Errno, errnoName, VfioError } from '../errors.ts'
import { commandName, VfioUserCommand } from './command.ts'
import { commandHeader, HEADER_BYTES } from './header.ts'
import type { IncomingMessage } from './message-intake.ts'
import type { MessageOutlet } from './message-outlet.ts'
import { DmaAccess } from './structs.ts'

/** Replies that may still come after nobody waits for them: passed over then. */
const MOST_LATE = 1024

/** What a {@link RemoteDma} is told. */
export interface RemoteDmaOptions {
  /** Longest wait for a reply, milliseconds. */
  readonly timeoutMs: number
  /** Most bytes of data in one message, as the client said. */
  readonly maxDataBytes: () => number
  /** Most bytes that one message asks for. */
  readonly maxReadBytes: number
  /** Told when a reply begins to be awaited, and when no more. */
  readonly onAwait: (isAwaited: boolean) => void
}

interface Awaited {
  readonly id: number
  readonly command: number
  settle(reply: IncomingMessage | VfioError): void
}

/** Requests to the client, one after the other. */
export class RemoteDma {
  readonly #outlet: MessageOutlet
  readonly #options: RemoteDmaOptions
  readonly #late = new Set<number>()
  #awaited: Awaited | undefined
  #nextId = 1
  #last: Promise<unknown> = Promise.resolve()
  #failure: VfioError | undefined

  constructor(outlet: MessageOutlet, options: RemoteDmaOptions) {
    this.#outlet = outlet
    this.#options = options
  }

  /**
   * Fills `dst` with the client's bytes at `address`.
   *
   * @param isThere - asked before each message: false when the memory was unmapped meanwhile
   * @throws {@link VfioError} the client's errno; EPROTO a reply of other bytes; ETIMEDOUT none in time; ENODEV
   * not there any more; what {@link fail} was told
   */
  async read(address: bigint, dst: Uint8Array, isThere: () => boolean): Promise<void> {
    await this.#chunks(dst.length, this.#options.maxReadBytes, isThere, async (at, byteLength) => {
      const reply = await this.#request(VfioUserCommand.DMA_READ, address + BigInt(at), byteLength)
      dst.set(reply.subarray(DmaAccess.byteLength), at)
    })
  }

  /** Stores `src` in the client's memory at `address`. Throws as {@link read}. */
  async write(address: bigint, src: Uint8Array, isThere: () => boolean): Promise<void> {
    await this.#chunks(src.length, src.length, isThere, async (at, byteLength) => {
      const data = src.subarray(at, at + byteLength)
      await this.#request(VfioUserCommand.DMA_WRITE, address + BigInt(at), byteLength, data)
    })
  }

  /** Takes a reply that is awaited, or came late. False: it is none of them. */
  accept(message: IncomingMessage): boolean {
    const { id, command } = message.header
    if (this.#awaited?.id === id && this.#awaited.command === command) {
      this.#awaited.settle(message)
      return true
    }
    const isDma = command === VfioUserCommand.DMA_READ || command === VfioUserCommand.DMA_WRITE
    return isDma && this.#late.delete(id)
  }

  /** The client is gone: what is under way, and all later, fails with this. */
  fail(failure: VfioError): void {
    this.#failure ??= failure
    this.#awaited?.settle(this.#failure)
  }

  async #chunks(
    byteLength: number,
    chunkBytes: number,
    isThere: () => boolean,
    transfer: (at: number, byteLength: number) => Promise<void>,
  ): Promise<void> {
    for (let at = 0; at < byteLength;) {
      const length = Math.min(byteLength - at, chunkBytes, this.#options.maxDataBytes())
      const from = at
      const turn = this.#last.then(() => {
        if (!isThere()) throw new VfioError('ENODEV', 'Cannot reach memory: it was unmapped, map it again')
        return transfer(from, length)
      })
      this.#last = turn.catch(() => {})
      await turn
      at += length
    }
  }

  async #request(command: number, address: bigint, count: number, data?: Uint8Array): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure
    const id = this.#takeId()
    const access = { address, count: BigInt(count) }
    const payloadBytes = DmaAccess.byteLength + (data?.length ?? 0)
    // In memory of its own: after a timeout the device may use its own again while this is still being written.
    const message = new Uint8Array(HEADER_BYTES + payloadBytes)
    message.set(commandHeader({ id, command, payloadBytes }))
    DmaAccess.encodeInto(message, HEADER_BYTES, access)
    if (data !== undefined) message.set(data, HEADER_BYTES + DmaAccess.byteLength)
    const reply = await this.#exchange(id, command, message)
    if (reply.header.isError) throw clientError(command, reply.header.errno)
    checkReply(command, access, reply.payload)
    return reply.payload
  }

  async #exchange(id: number, command: number, message: Uint8Array): Promise<IncomingMessage> {
    const { timeoutMs, onAwait } = this.#options
    let timer: ReturnType<typeof setTimeout> | undefined
    try {
      const reply = await new Promise<IncomingMessage | VfioError>((resolve) => {
        this.#awaited = { id, command, settle: resolve }
        onAwait(true)
        timer = setTimeout(() => {
          this.#addLate(id)
          resolve(timedOut(command, timeoutMs))
        }, timeoutMs)
        this.#outlet.send([message]).catch((error: VfioError) => resolve(error))
      })
      if (reply instanceof Error) throw reply
      return reply
    } finally {
      clearTimeout(timer)
      this.#awaited = undefined
      onAwait(false)
    }
  }

  #takeId(): number {
    do this.#nextId = (this.#nextId + 1) & 0xffff
    while (this.#late.has(this.#nextId))
    return this.#nextId
  }

  #addLate(id: number): void {
    this.#late.add(id)
    if (this.#late.size <= MOST_LATE) return
    for (const oldest of this.#late) {
      this.#late.delete(oldest)
      break
    }
  }
}

/** A reply is the request's address and count, and for a read exactly `count` bytes. */
function checkReply(command: number, { address, count }: DmaAccess, payload: Uint8Array): void {
  const data = command === VfioUserCommand.DMA_READ ? Number(count) : 0
  if (payload.length === DmaAccess.byteLength + data) {
    const echo = DmaAccess.decode(payload)
    if (echo.address === address && echo.count === count) return
  }
  throw new VfioError(
    'EPROTO',
    `Cannot ${commandName(command)}: the client's reply is not about what was asked for, echo address and count`,
    { syscall: 'vfio-user' },
  )
}

function clientError(command: number, errno: number): VfioError {
  const known = errno > 0 && errno <= 4096 ? errno : Errno.EINVAL
  return VfioError.fromErrno(
    known,
    `Cannot ${commandName(command)}: the client answered ${errnoName(known) ?? errno}, map memory there`,
    { syscall: 'vfio-user' },
  )
}

function timedOut(command: number, timeoutMs: number): VfioError {
  return new VfioError(
    'ETIMEDOUT',
    `Cannot ${commandName(command)}: the client did not answer in ${timeoutMs} ms, answer DMA requests`,
    { syscall: 'vfio-user' },
  )
}
