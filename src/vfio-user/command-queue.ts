/**
 * Commands that arrived and were not answered yet: in order, bounded, with backpressure.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import type { MessageHeader } from './header.ts'

/** A command as it arrived. */
export interface QueuedCommand {
  readonly header: MessageHeader
  readonly payload: Uint8Array
  /** Descriptors that came with it. Whoever keeps one takes it out; the rest is closed before the answer. */
  readonly fds: number[]
}

/** What the queue stops and starts. */
export interface Flow {
  pause(): void
  resume(): void
}

/** From here on nothing more is read... */
const HIGH_COUNT = 16
const HIGH_BYTES: number = 2 * 1024 * 1024
/** ...unless the device waits for the client's memory, and then up to here, and the message that comes then. */
const MOST_COUNT = 1024
const MOST_BYTES: number = 16 * 1024 * 1024

/** First in, first out. Payloads are counted, and a few bytes for each command. */
export class CommandQueue {
  readonly #flow: Flow
  #commands: QueuedCommand[] = []
  #bytes = 0
  #isReplyAwaited = false
  #isFinished = false
  #wake: (() => void) | undefined

  constructor(flow: Flow) {
    this.#flow = flow
  }

  get isEmpty(): boolean {
    return this.#commands.length === 0
  }

  /** While a reply of the client is awaited, commands before it are read past the usual bound. */
  set isReplyAwaited(isAwaited: boolean) {
    this.#isReplyAwaited = isAwaited
    this.#steer()
  }

  /** @throws {@link VfioError} ENOMEM when the client sends on and on while its own reply is awaited */
  push(command: QueuedCommand): void {
    const isFull = this.#commands.length >= MOST_COUNT || this.#bytes > MOST_BYTES
    this.#commands.push(command)
    this.#bytes += command.payload.length
    if (isFull) {
      throw new VfioError(
        'ENOMEM',
        `Cannot queue a command: ${this.#commands.length} wait behind a DMA reply, answer that first`,
        { syscall: 'vfio-user' },
      )
    }
    this.#steer()
    this.#wake?.()
  }

  /** The oldest command; undefined when there is none and no more will come. One caller at a time. */
  async next(): Promise<QueuedCommand | undefined> {
    while (this.#commands.length === 0 && !this.#isFinished) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const command = this.#commands.shift()
    if (command === undefined) return undefined
    this.#bytes -= command.payload.length
    this.#steer()
    return command
  }

  /** No more commands will come. */
  finish(): void {
    this.#isFinished = true
    this.#wake?.()
  }

  /** As {@link finish}, and those that wait are given back to be let go. */
  end(): QueuedCommand[] {
    const left = this.#commands
    this.#commands = []
    this.#bytes = 0
    this.finish()
    return left
  }

  #steer(): void {
    const isFull = this.#commands.length >= HIGH_COUNT || this.#bytes >= HIGH_BYTES
    if (isFull && !this.#isReplyAwaited) this.#flow.pause()
    else this.#flow.resume()
  }
}
