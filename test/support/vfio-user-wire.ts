/**
 * A client of vfio-user that sends bytes made by hand and shows what came back, and a server for it.
 *
 * @module
 */

import type { FakeDescriptors } from './fake-descriptors.ts'
import type { MigrationDevice } from '../../src/device/migration-device.ts'
import type { PciFunction, PciHost } from '../../src/device/pci-function.ts'
import { type ByteDuplex, type ByteWindows, memoryPair } from '../../src/transport/index.ts'
import {
  type FdDuplex,
  type ServeEvent,
  type ServeOptions,
  type ServeReport,
  serveVfioUser,
} from '../../src/vfio-user/index.ts'

/** A message as it came. */
export interface WireMessage {
  readonly id: number
  readonly command: number
  readonly flags: number
  readonly errno: number
  readonly payload: Buffer
}

/** What QEMU 11.1.3 sends first, 214 bytes with its header. */
export const QEMU_CAPABILITIES =
  '{"capabilities": {"pgsizes": 4096, "max_msg_fds": 16, "max_dma_maps": 65535, "max_data_xfer_size": 1048576, ' +
  '"migration": {"pgsize": 4096, "max_bitmap_size": 268435456}, "write_multiple": true}}'

/** u32 numbers one after the other. */
export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, index * 4)
  return bytes
}

/** u64 numbers one after the other. */
export function u64(...values: (number | bigint)[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8)
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), index * 8)
  return bytes
}

/** A whole message. */
export function wireMessage(
  id: number,
  command: number,
  payload: Uint8Array,
  { flags = 0, size = 16 + payload.length, errno = 0 } = {},
): Buffer {
  const header = Buffer.alloc(16)
  header.writeUInt16LE(id, 0)
  header.writeUInt16LE(command, 2)
  header.writeUInt32LE(size >>> 0, 4)
  header.writeUInt32LE(flags, 8)
  header.writeUInt32LE(errno, 12)
  return Buffer.concat([header, payload])
}

/** The payload of a VERSION request. */
export function versionPayload(json: string | undefined, minor = 2, major = 0): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(major, 0)
  head.writeUInt16LE(minor, 2)
  return json === undefined ? head : Buffer.concat([head, Buffer.from(`${json}\0`)])
}

/** One end of a connection. */
export class WireClient {
  readonly duplex: ByteDuplex
  #nextId = 1

  constructor(duplex: ByteDuplex) {
    this.duplex = duplex
  }

  /** Writes bytes as they are. */
  async write(...chunks: Uint8Array[]): Promise<void> {
    await this.duplex.write(chunks)
  }

  /** The next message; undefined at the end. */
  async next(): Promise<WireMessage | undefined> {
    const header = await this.#read(16)
    if (header === undefined) return undefined
    const payload = await this.#read(header.readUInt32LE(4) - 16)
    if (payload === undefined) throw new Error('half a message')
    return {
      id: header.readUInt16LE(0),
      command: header.readUInt16LE(2),
      flags: header.readUInt32LE(8),
      errno: header.readUInt32LE(12),
      payload,
    }
  }

  /** Sends a command and gives the next message, which is its reply. */
  async call(command: number, ...payload: Uint8Array[]): Promise<WireMessage> {
    const id = this.#nextId++ & 0xffff
    await this.write(wireMessage(id, command, Buffer.concat(payload)))
    const reply = await this.next()
    if (reply === undefined) throw new Error('the server left')
    if (reply.id !== id || reply.command !== command)
      throw new Error(`a reply to ${reply.command} (${reply.id})`)
    return reply
  }

  /** The payload of a reply that must be a success. */
  async ok(command: number, ...payload: Uint8Array[]): Promise<Buffer> {
    const reply = await this.call(command, ...payload)
    if (reply.flags !== 1) throw new Error(`command ${command} failed with errno ${reply.errno}`)
    return reply.payload
  }

  /** The errno of a reply that must be a failure, its header alone. */
  async errno(command: number, ...payload: Uint8Array[]): Promise<number> {
    const reply = await this.call(command, ...payload)
    if (reply.flags !== 0x21 || reply.payload.length > 0)
      throw new Error(`flags ${reply.flags} and ${reply.payload.length} bytes`)
    return reply.errno
  }

  async #read(byteLength: number): Promise<Buffer | undefined> {
    const bytes = Buffer.alloc(byteLength)
    for (let at = 0; at < byteLength;) {
      const count = await this.duplex.read(bytes.subarray(at))
      if (count === 0) {
        if (at === 0) return undefined
        throw new Error('the end in the middle of a message')
      }
      at += count
    }
    return bytes
  }
}

/** A PCI function whose host a test can use. */
export class ScriptedPci implements PciFunction {
  readonly vendor = 0x4348
  readonly device = 0x3253
  readonly classCode = 0x070002
  readonly revision = 0x10
  readonly bars: PciFunction['bars']
  readonly interrupts: PciFunction['interrupts'] = { intx: 1, msi: 0, msix: 4 }
  intxAsserted = false
  host: PciHost | undefined
  plugs = 0

  constructor(bars: PciFunction['bars'] = [{ index: 0, kind: 'io', byteLength: 8 }]) {
    this.bars = bars
  }

  connect(host: PciHost): () => void {
    this.host = host
    this.plugs++
    return () => {
      this.host = undefined
    }
  }
}

/** As those of the server, and what carries descriptors. */
export interface ServedOptions extends Partial<Omit<ServeOptions, 'pci'>> {
  pci?: ScriptedPci
  fds?: FakeDescriptors
  /** The connection reads straight into windows, as many as what came fills, as sockets do. */
  readsOn?: boolean
}

/** A connection that fills windows with what came, one after the other without a pause. */
function readingOn(duplex: ByteDuplex): ByteDuplex {
  const readInto = async (windows: ByteWindows): Promise<boolean> => {
    for (;;) {
      if (held.length === 0) {
        const bytes = new Uint8Array(1024 * 1024)
        held = bytes.subarray(0, await duplex.read(bytes))
        if (held.length === 0) return true
      }
      while (held.length > 0) {
        const window = windows.window(held.length)
        if (window.length === 0) return false
        window.set(held.subarray(0, window.length))
        held = held.subarray(window.length)
        windows.commit(window.length)
      }
    }
  }
  let held = new Uint8Array(0)
  return { ...duplex, readInto }
}

/** A device that is being served, and its client. */
export interface Served {
  readonly client: WireClient
  readonly pci: ScriptedPci
  readonly events: ServeEvent[]
  readonly report: Promise<ServeReport>
}

/** Serves `device` to a client that has not said anything. */
export function serveRaw(device: MigrationDevice, options: ServedOptions = {}): Served {
  const { pci = new ScriptedPci(), fds, readsOn = false, ...others } = options
  const [here, end] = memoryPair()
  const there = readsOn ? readingOn(end) : end
  const duplex: ByteDuplex & Partial<FdDuplex> = fds === undefined ? there : { ...there, fds }
  const events: ServeEvent[] = []
  const report = serveVfioUser(device, duplex, {
    onEvent: (event) => events.push(event),
    ...others,
    pci,
  })
  report.catch(() => {})
  return { client: new WireClient(here), pci, events, report }
}

/** Serves `device` to a client that has agreed on a version. */
export async function serve(
  device: MigrationDevice,
  options: ServedOptions & { json?: string } = {},
): Promise<Served> {
  const { json = '{}', ...others } = options
  const served = serveRaw(device, others)
  await served.client.ok(1, versionPayload(json))
  return served
}

/** The client leaves; the server's report. */
export async function leave({ client, report }: Served): Promise<ServeReport> {
  await client.duplex.close()
  return report
}
