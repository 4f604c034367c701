/**
 * A machine of QEMU whose guest is the monitor: each call is something that the guest does.
 *
 * @module
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

const READY = 'REDY'
const REQUEST_BYTES = 10
/** No machine may run longer. */
const HARD_LIMIT_MS = 100_000
/** I/O ports of a PC. */
const CONFIG_ADDRESS = 0xcf8
const CONFIG_DATA = 0xcfc
const RESET_CONTROL = 0xcf9
/** isa-debug-exit, and the exit code when a zero is written to it. */
const EXIT_PORT = 0xf4
export const EXIT_CODE = 1

/** Offsets in configuration space. */
const COMMAND = 4
const BAR_0 = 0x10
const CAPABILITIES = 0x34
/** I/O ports, memory, and bus mastering. */
const IO_SPACE = 1
export const MEMORY_SPACE = 2
const BUS_MASTER = 4

export type Width = 1 | 2 | 4

/** A BAR that the guest has placed. */
export interface PlacedBar {
  readonly index: number
  readonly byteLength: number
  /** A port of I/O BARs. */
  readonly address: number
  readonly kind: 'io' | 'memory' | 'memory64'
}

/** How a machine is started. */
export interface GuestSetup {
  readonly qemu: string
  /** The monitor's image. */
  readonly bios: string
  /** More arguments of QEMU. */
  readonly arguments?: readonly string[]
  readonly machine?: string
}

export class Guest {
  /** What QEMU printed to stderr: errors and traces. */
  stderr = ''
  /** Its exit code or signal. */
  readonly exited: Promise<number | string>
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  #received: Buffer = Buffer.alloc(0)
  #waiting:
    { byteLength: number; resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | undefined

  private constructor({ qemu, bios, arguments: more = [], machine = 'pc' }: GuestSetup) {
    const args = ['-machine', machine, '-accel', 'tcg', '-m', '128M', '-display', 'none', '-nodefaults']
    args.push('-bios', bios, '-chardev', 'stdio,id=monitor,signal=off', '-serial', 'chardev:monitor')
    args.push('-device', `isa-debug-exit,iobase=${EXIT_PORT},iosize=4`, ...more)
    const child = spawn(qemu, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    child.stdin.on('error', () => {})
    child.stderr.on('data', (data: Buffer) => (this.stderr += data.toString()))
    child.stdout.on('data', (data: Buffer) => this.#receive(data))
    const limit = setTimeout(() => this.kill(), HARD_LIMIT_MS)
    this.exited = new Promise((resolve) => {
      const end = (exit: number | string): void => {
        clearTimeout(limit)
        this.#waiting?.reject(new Error(`QEMU ended (${exit}): ${this.stderr}`))
        resolve(exit)
      }
      child.on('error', (error) => end(error.message))
      child.on('close', (code, signal) => end(code ?? signal ?? 'gone'))
    })
  }

  /** Starts a machine and waits until its guest runs. */
  static async start(setup: GuestSetup): Promise<Guest> {
    const guest = new Guest(setup)
    await guest.#ready()
    return guest
  }

  /** Ends QEMU from inside; resolves to its exit code. */
  exit(): Promise<number | string> {
    this.#send('o', 4, EXIT_PORT, 0)
    return this.exited
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Resets the machine, and waits until its guest runs again. */
  async reset(): Promise<void> {
    this.#send('o', 1, RESET_CONTROL, 6)
    // The reply may come before the reset, or a part of it, or none.
    for (let seen = ''; !seen.endsWith(READY);) seen += (await this.#take(1)).toString('latin1')
  }

  in(port: number, width: Width): Promise<number> {
    return this.#number('i', width, port, 0)
  }

  async out(port: number, value: number, width: Width): Promise<void> {
    await this.#number('o', width, port, value)
  }

  read(address: number, width: Width = 4): Promise<number> {
    return this.#number('r', width, address, 0)
  }

  async write(address: number, value: number, width: Width = 4): Promise<void> {
    await this.#number('w', width, address, value)
  }

  /** In two accesses, the low half first. */
  async read64(address: number): Promise<bigint> {
    const low = await this.read(address)
    return BigInt(low) | (BigInt(await this.read(address + 4)) << 32n)
  }

  async write64(address: number, value: bigint): Promise<void> {
    await this.write(address, Number(value & 0xffff_ffffn))
    await this.write(address + 4, Number(value >> 32n))
  }

  /** Some tens of KiB a second. */
  async readBytes(address: number, byteLength: number): Promise<Buffer> {
    this.#send('R', 1, address, byteLength)
    return this.#take(byteLength)
  }

  async writeBytes(address: number, bytes: Uint8Array): Promise<void> {
    this.#send('W', 1, address, bytes.length)
    this.#child.stdin.write(bytes)
    await this.#take(4)
  }

  async fill(address: number, byte: number, byteLength: number): Promise<void> {
    this.#send('F', byte, address, byteLength)
    await this.#take(4)
  }

  /** FNV-1a of memory, as {@link fnv1a}. */
  hash(address: number, byteLength: number): Promise<number> {
    return this.#number('S', 1, address, byteLength)
  }

  /** Configuration space of function 0 of a slot on bus 0. */
  async configRead(slot: number, offset: number, width: Width = 4): Promise<number> {
    await this.out(CONFIG_ADDRESS, 0x8000_0000 + (slot << 11) + (offset & 0xfc), 4)
    return this.in(CONFIG_DATA + (offset & 3), width)
  }

  async configWrite(slot: number, offset: number, value: number, width: Width = 4): Promise<void> {
    await this.out(CONFIG_ADDRESS, 0x8000_0000 + (slot << 11) + (offset & 0xfc), 4)
    await this.out(CONFIG_DATA + (offset & 3), value, width)
  }

  /** Vendor and device by slot, as `1234:b01c`. */
  async scan(): Promise<Map<number, string>> {
    const found = new Map<number, string>()
    for (let slot = 0; slot < 32; slot++) {
      const id = await this.configRead(slot, 0)
      if (id === 0xffff_ffff) continue
      found.set(slot, [id & 0xffff, id >>> 16].map((half) => half.toString(16).padStart(4, '0')).join(':'))
    }
    return found
  }

  /** Offsets of the capabilities of a slot by their id. */
  async capabilities(slot: number): Promise<Map<number, number>> {
    const found = new Map<number, number>()
    for (let at = await this.configRead(slot, CAPABILITIES, 1); at !== 0 && found.size < 48;) {
      found.set(await this.configRead(slot, at, 1), at)
      at = await this.configRead(slot, at + 1, 1)
    }
    return found
  }

  command(slot: number, value: number): Promise<void> {
    return this.configWrite(slot, COMMAND, value, 2)
  }

  /** Sizes all BARs of a slot and places them; lets it answer and reach memory. */
  async placeBars(slot: number): Promise<Map<number, PlacedBar>> {
    const bars = new Map<number, PlacedBar>()
    const next = { io: 0xc000, memory: 0xe000_0000, memory64: 0xf000_0000 }
    await this.command(slot, 0)
    for (let index = 0; index < 6; index++) {
      const at = BAR_0 + 4 * index
      await this.configWrite(slot, at, 0xffff_ffff)
      const low = await this.configRead(slot, at)
      if (low === 0) continue
      const kind = (low & 1) !== 0 ? 'io' : (low & 6) === 4 ? 'memory64' : 'memory'
      const byteLength = (~(low & (kind === 'io' ? ~0x3 : ~0xf)) >>> 0) + 1
      const address = Math.ceil(next[kind] / byteLength) * byteLength
      await this.configWrite(slot, at, address)
      bars.set(index, { index, byteLength, address, kind })
      next[kind] = address + byteLength
      if (kind === 'memory64') await this.configWrite(slot, BAR_0 + 4 * ++index, 0)
    }
    await this.command(slot, IO_SPACE | MEMORY_SPACE | BUS_MASTER)
    return bars
  }

  async #ready(): Promise<void> {
    const said = (await this.#take(READY.length)).toString('latin1')
    if (said !== READY) throw new Error(`the guest said ${JSON.stringify(said)}: ${this.stderr}`)
  }

  async #number(op: string, width: number, address: number, value: number): Promise<number> {
    this.#send(op, width, address, value)
    return (await this.#take(4)).readUInt32LE(0)
  }

  #send(op: string, width: number, address: number, value: number): void {
    const request = Buffer.alloc(REQUEST_BYTES)
    request.write(op, 'latin1')
    request[1] = width
    request.writeUInt32LE(address >>> 0, 2)
    request.writeUInt32LE(value >>> 0, 6)
    this.#child.stdin.write(request)
  }

  #take(byteLength: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { byteLength, resolve, reject }
      this.#receive(Buffer.alloc(0))
    })
  }

  #receive(data: Buffer): void {
    this.#received = Buffer.concat([this.#received, data])
    if (this.#waiting === undefined || this.#received.length < this.#waiting.byteLength) return
    const { byteLength, resolve } = this.#waiting
    this.#waiting = undefined
    const bytes = this.#received.subarray(0, byteLength)
    this.#received = this.#received.subarray(byteLength)
    resolve(bytes)
  }
}

/** FNV-1a, 32 bits. */
export function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193)
  return hash >>> 0
}
