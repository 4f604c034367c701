/** Strangers' programs that the interop tests talk to: where they are, said by environment variables, and how they run. @module */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fdPassingObstacle } from '../../src/node/index.ts'

/** No peer may run longer. */
const HARD_LIMIT_MS = 100_000
const POLL_MS = 20

/** A program that is here, or why it is not. */
export type Found<What> = { readonly here: What } | { readonly absent: string }

/** What was found; a test without it is skipped, and says why. */
export function need<What>(found: Found<What>, skip: (reason: string) => never): What {
  return 'here' in found ? found.here : skip(found.absent)
}

/** `client` and `server` of libvfio-user's samples, by LIBVFIO_USER_SAMPLES. */
export function librarySamples(): Found<{ client: string; server: string }> {
  const directory = process.env['LIBVFIO_USER_SAMPLES']
  if (directory === undefined || directory === '')
    return {
      absent: 'LIBVFIO_USER_SAMPLES names no directory with the client and server samples of libvfio-user',
    }
  const [client, server] = [join(directory, 'client'), join(directory, 'server')]
  const missing = [client, server].find((path) => !existsSync(path))
  return missing === undefined ? { here: { client, server } } : { absent: `${missing} is not there` }
}

/** The path of a QEMU that has vfio-user-pci, by STOPCOPY_QEMU. */
export function qemu(): Found<string> {
  const path = process.env['STOPCOPY_QEMU']
  if (path === undefined || path === '')
    return { absent: 'STOPCOPY_QEMU names no qemu-system-x86_64 of version 11 or later' }
  try {
    const devices = execFileSync(path, ['-device', 'help'], { encoding: 'utf8', timeout: 20_000 })
    return devices.includes('"vfio-user-pci"') ? { here: path } : { absent: `${path} has no vfio-user-pci` }
  } catch (error) {
    return { absent: `${path} cannot be run: ${(error as Error).message}` }
  }
}

/** Descriptors, by the optional koffi. */
export function descriptors(): Found<true> {
  const obstacle = fdPassingObstacle()
  return obstacle === undefined ? { here: true } : { absent: obstacle.message }
}

/** Runs `work` in a directory of its own, where all that it starts ends with it. */
export async function withPeers<Result>(work: (peers: Peers) => Promise<Result>): Promise<Result> {
  const directory = await mkdtemp(join(tmpdir(), 'stopcopy-interop-'))
  const peers = new Peers(directory)
  try {
    return await work(peers)
  } finally {
    await peers.end()
    await rm(directory, { recursive: true, force: true })
  }
}

/** The programs of one test. */
export class Peers {
  readonly directory: string
  readonly #all: Peer[] = []

  constructor(directory: string) {
    this.directory = directory
  }

  /** A file of the test. */
  path(name: string): string {
    return join(this.directory, name)
  }

  /** Starts a program. */
  start(command: string, args: readonly string[]): Peer {
    const peer = new Peer(command, args, this.directory)
    this.#all.push(peer)
    return peer
  }

  /** Starts a server of ours, whose socket is there when it listens. */
  async serve(command: string, args: readonly string[], socket: string): Promise<Peer> {
    const peer = this.start(command, args)
    await peer.until(() => existsSync(socket), `listen on ${socket}`)
    return peer
  }

  /** Starts libvfio-user's server sample, whose socket is there a moment before it listens, and takes one client. */
  async serveSample(server: string, socket: string): Promise<Peer> {
    const peer = this.start(server, ['-v', socket])
    await peer.until(() => isListening(socket), `listen on ${socket}`)
    return peer
  }

  async end(): Promise<void> {
    for (const peer of this.#all) peer.kill()
    await Promise.all(this.#all.map((peer) => peer.exited))
  }
}

/** The kernel's flag of a socket that takes connections, in /proc/net/unix. */
export const LISTENING = '00010000'

function isListening(socket: string): boolean {
  const lines = readFileSync('/proc/net/unix', 'utf8').split('\n')
  return lines.some((line) => line.endsWith(` ${socket}`) && line.includes(` ${LISTENING} `))
}

/** A running program, and those that it starts: one process group. */
export class Peer {
  /** What it printed, to stdout and stderr. */
  output = ''
  /** Its exit code, or the name of the signal that ended it. */
  readonly exited: Promise<number | string>
  #exit: number | string | undefined
  readonly #child: ChildProcess
  readonly #name: string

  constructor(command: string, args: readonly string[], cwd: string) {
    this.#name = `${command} ${args.join(' ')}`
    const child = spawn(command, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    const limit = setTimeout(() => this.kill(), HARD_LIMIT_MS)
    // 'close' comes when its output is at its end, so when those that it started are gone, too.
    this.exited = new Promise((resolve) => {
      const end = (exit: number | string): void => {
        clearTimeout(limit)
        this.#exit = exit
        resolve(exit)
      }
      child.on('error', (error) => end(error.message))
      child.on('close', (code, signal) => end(code ?? signal ?? 'gone'))
    })
  }

  /** Waits until something holds; fails when the program ends before. */
  async until(holds: () => boolean, what: string): Promise<void> {
    while (!holds()) {
      if (this.#exit !== undefined)
        throw new Error(`${this.#name} ended (${this.#exit}) and did not ${what}:\n${this.output}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  kill(): void {
    if (this.#child.pid === undefined || this.#exit !== undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // All of them are gone.
    }
  }
}
