/** A process in Python at the other end of a socket that carries descriptors. @module */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connectFds } from '../../../src/node/connect-fds.ts'
import type { FdConnection, FdConnectionOptions } from '../../../src/node/fd-connection.ts'
import { fdPassingObstacle } from '../../../src/node/libc.ts'
import { listenFds } from '../../../src/node/listen-fds.ts'

const NEEDS = 'import os, socket; os.eventfd, os.memfd_create, socket.recv_fds'

/** Why there can be no such peer, or undefined. */
export function peerObstacle(): string | undefined {
  const obstacle = fdPassingObstacle()
  if (obstacle !== undefined) return obstacle.message
  const { status, error } = spawnSync('python3', ['-c', NEEDS])
  if (error !== undefined) return 'there is no python3'
  return status === 0 ? undefined : 'python3 is older than 3.10'
}

/** The process. */
export class FdPeer {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(process: ChildProcess) {
    this.#process = process
    this.#lines = createInterface({ input: process.stdout! })[Symbol.asyncIterator]()
  }

  /** Starts a scenario of fd-peer.py, and takes its connection. */
  static async start(
    scenario: string,
    path: string,
    options: FdConnectionOptions = {},
  ): Promise<{ peer: FdPeer; connection: FdConnection }> {
    let accept!: (connection: FdConnection) => void
    const accepted = new Promise<FdConnection>((resolve) => (accept = resolve))
    const listener = await listenFds(`unix:${path}`, accept, options)
    const peer = FdPeer.#spawn(scenario, path)
    const connection = await accepted
    await listener.close()
    return { peer, connection }
  }

  /** Starts a scenario that listens itself, and connects to it. */
  static async listening(
    scenario: string,
    path: string,
  ): Promise<{ peer: FdPeer; connection: FdConnection }> {
    const peer = FdPeer.#spawn(scenario, path)
    await peer.told()
    return { peer, connection: await connectFds(`unix:${path}`) }
  }

  static #spawn(scenario: string, path: string): FdPeer {
    const script = fileURLToPath(new URL('fd-peer.py', import.meta.url))
    return new FdPeer(spawn('python3', [script, scenario, path], { stdio: ['pipe', 'pipe', 'inherit'] }))
  }

  /** The next value it tells. */
  async told(): Promise<unknown> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('the peer ended')
    return JSON.parse(value)
  }

  /** Has it go on. */
  go(): void {
    this.#process.stdin!.write('\n')
  }

  /** Lets it end, and waits until it is gone. */
  async end(): Promise<void> {
    this.#process.stdin!.end()
    if (this.#process.exitCode === null) await once(this.#process, 'close')
  }
}
