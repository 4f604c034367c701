/**
 * A vfio-user server that does as a test says: by default what libvfio-user does with a device of some bytes,
 * quirks included.
 *
 * @module
 */

import { Errno } from '../../src/errors.ts'
import { memoryPair } from '../../src/transport/index.ts'
import type { ByteDuplex } from '../../src/transport/index.ts'
import { VfioUserCommand } from '../../src/vfio-user/command.ts'
import { decodeHeader, HEADER_BYTES, type MessageHeader } from '../../src/vfio-user/header.ts'
import { encodeVersion } from '../../src/vfio-user/version.ts'

/** What a handler answers: a payload, an errno with or without one, raw bytes, or nothing at all. */
export type Answer =
  | { readonly payload?: Uint8Array }
  | { readonly errno: number; readonly payload?: Uint8Array }
  | { readonly raw: Uint8Array }
  | 'silence'

export interface Request {
  readonly header: MessageHeader
  readonly payload: Buffer
}

export type Handler = (request: Request) => Answer | undefined | Promise<Answer | undefined>

const FEATURE_NAMES = ['', 'flags', 'state', '', '', '', 'log-start', 'log-stop', 'log-report', 'length']

/** A connection to a server that answers with `handler`, and where that says nothing, as {@link LibvfioUser}. */
export class ScriptedServer {
  /** The client's end. */
  readonly connection: ByteDuplex
  /** What was asked, in order, in words. */
  readonly asked: string[] = []
  /** Replies to the server's own commands. */
  readonly replies: Request[] = []
  /** Most commands that were there at once, unanswered. */
  readonly device: LibvfioUser
  readonly #end: ByteDuplex
  readonly #handler: Handler
  #replied: (() => void) | undefined

  constructor(handler: Handler = () => undefined, device: LibvfioUser = new LibvfioUser()) {
    const [here, there] = memoryPair({ highWaterMark: 1 << 22 })
    this.connection = here
    this.#end = there
    this.#handler = handler
    this.device = device
    void this.#run().catch(() => {})
  }

  /** Sends a command of the server's own and waits for its reply. */
  async command(command: number, payload: Uint8Array, id = 7): Promise<Request> {
    const replied = new Promise<void>((resolve) => (this.#replied = resolve))
    await this.#end.write([message(id, command, 0, 0, payload)])
    await replied
    return this.replies.at(-1) as Request
  }

  /** Sends bytes as they are. */
  async send(bytes: Uint8Array): Promise<void> {
    await this.#end.write([bytes])
  }

  /** Goes away. */
  async vanish(): Promise<void> {
    await this.#end.abort(new Error('the server died'))
  }

  async #run(): Promise<void> {
    for (;;) {
      const head = await this.#read(HEADER_BYTES)
      const header = decodeHeader(head)
      const payload = await this.#read(header.byteLength - HEADER_BYTES)
      const request = { header, payload }
      if (header.type === 'reply') {
        this.replies.push(request)
        this.#replied?.()
        continue
      }
      this.asked.push(describeRequest(request))
      const answer = (await this.#handler(request)) ?? this.device.answer(request)
      if (answer === 'silence') continue
      if ('raw' in answer) await this.#end.write([answer.raw])
      else await this.#end.write([replyTo(header, answer)])
    }
  }

  async #read(byteLength: number): Promise<Buffer> {
    const bytes = Buffer.alloc(byteLength)
    for (let at = 0; at < byteLength;) {
      const count = await this.#end.read(bytes.subarray(at))
      if (count === 0) throw new Error('the client is gone')
      at += count
    }
    return bytes
  }
}

/** The bytes of a reply. */
export function replyTo(header: MessageHeader, answer: { errno?: number; payload?: Uint8Array }): Buffer {
  const { errno, payload = Buffer.alloc(0) } = answer
  return message(header.id, header.command, errno === undefined ? 1 : 0x21, errno ?? 0, payload)
}

export function message(
  id: number,
  command: number,
  flags: number,
  errno: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length)
  bytes.writeUInt16LE(id, 0)
  bytes.writeUInt16LE(command, 2)
  bytes.writeUInt32LE(bytes.length, 4)
  bytes.writeUInt32LE(flags, 8)
  bytes.writeUInt32LE(errno, 12)
  bytes.set(payload, HEADER_BYTES)
  return bytes
}

/** Feature index and operation of a DEVICE_FEATURE. */
export function featureOf({ header, payload }: Request): { feature: number; op: string } | undefined {
  if (header.command !== VfioUserCommand.DEVICE_FEATURE) return undefined
  const flags = payload.readUInt32LE(4)
  const op = (flags & 0x4_0000) !== 0 ? 'probe' : (flags & 0x1_0000) !== 0 ? 'get' : 'set'
  return { feature: flags & 0xffff, op }
}

function describeRequest(request: Request): string {
  const { header, payload } = request
  const feature = featureOf(request)
  if (feature !== undefined) {
    const name = FEATURE_NAMES[feature.feature] ?? `${feature.feature}`
    const state = name === 'state' && feature.op === 'set' ? ` ${payload.readUInt32LE(8)}` : ''
    return `${feature.op} ${name}${state}`
  }
  const names = Object.entries(VfioUserCommand)
  return names.find(([, number]) => number === header.command)?.[0] ?? `command ${header.command}`
}

const REGION_BYTES = [256, 16_384, 0, 0, 0, 0, 0, 256, 0]

/** libvfio-user with a device of `data`, as the facts have it: which states, which errnos, what is padded. */
export class LibvfioUser {
  state = 2
  /** What a saving session gives, in PRE_COPY as far as `early` bytes. */
  data: Buffer
  early: number
  /** Bytes of one reply, at most. */
  step: number
  /** What a resuming session got. */
  loaded: Buffer[] = []
  readonly dma = new Map<bigint, bigint>()
  #at = 0

  constructor(options: { data?: Buffer; early?: number; step?: number } = {}) {
    this.data = options.data ?? Buffer.from('nothing was lost and nothing believed unchecked')
    this.early = options.early ?? 0
    this.step = options.step ?? Infinity
  }

  answer({ header, payload }: Request): Answer {
    const { command } = header
    const isStopped = this.state === 1 || this.state === 3
    const always: readonly number[] = [1, 9, 10, 16, 17]
    if (isStopped && !always.includes(command)) return { errno: Errno.EINVAL }
    switch (command) {
      case VfioUserCommand.VERSION: {
        const capabilities = { max_msg_fds: 8, max_data_xfer_size: 1_048_576, migration: { pgsize: 4096 } }
        return { payload: encodeVersion({ major: 0, minor: 2, capabilities }) }
      }
      case VfioUserCommand.DEVICE_GET_INFO:
        return { payload: words(16, 3, 9, 5) }
      case VfioUserCommand.DEVICE_GET_REGION_INFO:
        return { payload: this.#region(payload.readUInt32LE(8)) }
      case VfioUserCommand.DEVICE_GET_IRQ_INFO:
        return { payload: words(16, 1, payload.readUInt32LE(8), 1) }
      case VfioUserCommand.DEVICE_RESET:
        return {}
      case VfioUserCommand.DMA_MAP:
        this.dma.set(payload.readBigUInt64LE(16), payload.readBigUInt64LE(24))
        return {}
      case VfioUserCommand.DMA_UNMAP:
        return this.dma.delete(payload.readBigUInt64LE(8)) ? { payload } : { errno: Errno.ENOENT }
      case VfioUserCommand.REGION_READ:
        return this.#readRegion(payload)
      case VfioUserCommand.REGION_WRITE:
        return { payload: payload.subarray(0, 16) }
      case VfioUserCommand.DEVICE_FEATURE:
        return this.#feature(payload)
      case VfioUserCommand.MIG_DATA_READ:
        return this.#read(payload)
      case VfioUserCommand.MIG_DATA_WRITE:
        if (this.state !== 4) return { errno: Errno.EINVAL }
        this.loaded.push(Buffer.from(payload.subarray(8)))
        return {}
      default:
        return { errno: Errno.EINVAL }
    }
  }

  #region(index: number): Buffer {
    const info = Buffer.concat([words(32, REGION_BYTES[index] === 0 ? 0 : 3, index, 0), Buffer.alloc(16)])
    info.writeBigUInt64LE(BigInt(REGION_BYTES[index] ?? 0), 16)
    return info
  }

  #readRegion(payload: Buffer): Answer {
    const count = payload.readUInt32LE(12)
    const bytes = Buffer.alloc(16 + count)
    payload.copy(bytes, 0, 0, 16)
    // A failing region callback answers with the payload it would have had.
    if (this.state === 3 || payload.readUInt32LE(8) > 8) return { errno: Errno.EINVAL, payload: bytes }
    if (payload.readUInt32LE(8) === 7) bytes.write('addeefbe', 16, 'hex')
    if (payload.readUInt32LE(8) === 7 && count >= 0x30) bytes.write('fecabeba', 16 + 0x2c, 'hex')
    return { payload: bytes }
  }

  #feature(payload: Buffer): Answer {
    const flags = payload.readUInt32LE(4)
    const feature = flags & 0xffff
    if ((flags & 0x4_0000) !== 0) return { payload }
    if (feature === 1) return { payload: Buffer.concat([words(16, flags), words(5, 0)]) }
    if (feature !== 2) return { errno: Errno.EINVAL }
    if ((flags & 0x1_0000) !== 0) return { payload: words(16, flags, this.state, 0xffff_ffff) }
    const target = payload.readUInt32LE(8)
    const isKnown = [1, 2, 3, 4, 6].includes(target) && !(this.state === 3 && target === 6)
    // A failed SET answers with the payload, too: 32 bytes in all.
    if (!isKnown) return { errno: Errno.EINVAL, payload: words(16, flags, this.state, 0xffff_ffff) }
    if (target !== this.state && !(this.state === 6 && target === 3)) this.#at = 0
    if (target === 4 && this.state !== 4) this.loaded = []
    this.state = target
    return { payload }
  }

  /** Padded with zeros to what was asked for. */
  #read(payload: Buffer): Answer {
    if (this.state !== 3 && this.state !== 6) return { errno: Errno.EINVAL }
    const size = payload.readUInt32LE(4)
    const end = this.state === 3 ? this.data.length : this.early
    const count = Math.max(0, Math.min(size, this.step, end - this.#at))
    const reply = Buffer.alloc(8 + size)
    reply.writeUInt32LE(8 + count, 0)
    reply.writeUInt32LE(count, 4)
    this.data.copy(reply, 8, this.#at, this.#at + count)
    this.#at += count
    return { payload: reply }
  }
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4)
  return bytes
}
