/**
 * What the body of a case works with: messages, and what is expected of their answers.
 *
 * @module
 */

import type { Errno } from '../../errors.ts'
import { type Answer, bytesText, isErrno, messageText, type RawMessage } from './answer.ts'
import type { RawPeer } from './raw-peer.ts'
import type { ServerFacts } from './server-facts.ts'
import type { WireBench } from './wire-bench.ts'
import { WireMismatch } from './wire-case.ts'

/** Header fields that differ from those of a right message. */
export type HeaderChanges = Pick<RawMessage, 'id' | 'flags' | 'byteLength'>

/** An answer that libvfio-user is known for, and what it is called. */
export interface Quirk {
  readonly when: (answer: Answer) => boolean
  readonly quirk: string
}

/** One case under way. */
export class Trial {
  readonly facts: ServerFacts
  readonly peer: RawPeer
  /** The last message that was sent, in one line. */
  sent: string | undefined
  /** What came back for it. */
  answer: Answer | undefined
  /** A habit that the rule allows, and that is worth a word. */
  remark: string | undefined

  /** For what a case does besides its messages. */
  readonly bench: WireBench

  constructor(peer: RawPeer, facts: ServerFacts, bench: WireBench) {
    this.peer = peer
    this.facts = facts
    this.bench = bench
  }

  /** Sends a message and takes its answer. */
  async call(command: number, payload: Uint8Array, changes: HeaderChanges = {}): Promise<Answer> {
    const message = { command, payload, ...changes }
    this.sent = messageText(message)
    this.answer = undefined
    return this.note(await this.peer.call(message))
  }

  /** Notes an answer that was taken by other means. */
  note(answer: Answer): Answer {
    this.answer = answer
    return answer
  }

  /** The payload of a message that must succeed. */
  async success(command: number, payload: Uint8Array, ...quirks: readonly Quirk[]): Promise<Uint8Array> {
    const answer = await this.call(command, payload)
    if (answer.kind === 'reply') return answer.payload
    throw this.mismatch('success', quirks)
  }

  /** As {@link success}, with a reply of exactly so many bytes behind the header. */
  async replyOf(
    byteLength: number,
    command: number,
    payload: Uint8Array,
    ...quirks: readonly Quirk[]
  ): Promise<Uint8Array> {
    const reply = await this.success(command, payload, ...quirks)
    this.expect(reply.length === byteLength, `a reply with ${byteLength} bytes behind its header`, ...quirks)
    return reply
  }

  /** A message that must be refused, with one of `codes`. */
  async refused(
    codes: readonly (keyof typeof Errno)[],
    command: number,
    payload: Uint8Array,
    ...quirks: readonly Quirk[]
  ): Promise<void> {
    const answer = await this.call(command, payload)
    if (answer.kind === 'error' && codes.some((code) => isErrno(answer.errno, code))) return
    throw this.mismatch(codes.join(' or '), quirks)
  }

  /** Notes a habit that the rule allows, and that libvfio-user has. */
  habit(text: string): void {
    this.remark = `${this.facts.isLibvfioUser ? '' : 'as '}libvfio-user: ${text}`
  }

  /** The payload of a message that may succeed, or be refused with a code that is a habit; then undefined. */
  async successOrHabit(
    command: number,
    payload: Uint8Array,
    code: keyof typeof Errno,
    habit: string,
  ): Promise<Uint8Array | undefined> {
    const answer = await this.call(command, payload)
    if (answer.kind === 'reply') return answer.payload
    this.expect(answer.kind === 'error' && isErrno(answer.errno, code), `success, or ${code}`)
    this.habit(habit)
    return undefined
  }

  /** Throws unless `holds`. */
  expect(holds: boolean, expected: string, ...quirks: readonly Quirk[]): void {
    if (!holds) throw this.mismatch(expected, quirks)
  }

  /** Throws unless the reply is `bytes`. */
  expectBytes(reply: Uint8Array, bytes: Uint8Array, what: string): void {
    const same = reply.length === bytes.length && bytes.every((byte, index) => reply[index] === byte)
    this.expect(same, `${what}, ${bytesText(bytes)}`)
  }

  /** What to throw: a known habit is one only of the server that has it. */
  mismatch(expected: string, quirks: readonly Quirk[] = []): WireMismatch {
    const { answer } = this
    const known = answer === undefined ? undefined : quirks.find(({ when }) => when(answer))
    return new WireMismatch(expected, this.facts.isLibvfioUser ? known?.quirk : undefined)
  }
}

/** A quirk that is an errno. */
export function errnoQuirk(code: keyof typeof Errno, quirk: string): Quirk {
  return { when: (answer) => answer.kind === 'error' && isErrno(answer.errno, code), quirk }
}

/** A quirk that is success. */
export function successQuirk(quirk: string): Quirk {
  return { when: (answer) => answer.kind === 'reply', quirk }
}
