/**
 * One connection to a server that exits when its client leaves, lent to clients in turn. Without it a command could
 * not save from such a server what somebody wrote to it before.
 *
 * @module
 */

import { connect, listen, type Listener } from '../../src/node/index.ts'
import { u32, u64, versionPayload, WireClient, wireMessage } from '../support/vfio-user-wire.ts'

const VERSION = 1
const REGION_READ = 9
const REGION_WRITE = 10
const CAPABILITIES = '{"capabilities":{"max_msg_fds":1,"max_data_xfer_size":1048576}}'

/** Every message of a client goes through, but VERSION: that is answered as the server did. */
export class KeptConnection {
  readonly #server: WireClient
  readonly #version: Buffer
  readonly #listener: Listener
  #lending: Promise<void> = Promise.resolve()

  private constructor(server: WireClient, version: Buffer, listener: Listener) {
    this.#server = server
    this.#version = version
    this.#listener = listener
  }

  /** Connects to `socket`, and listens on `lent`. */
  static async open(socket: string, lent: string): Promise<KeptConnection> {
    const server = new WireClient(await connect(`unix:${socket}`))
    const version = await server.ok(VERSION, versionPayload(CAPABILITIES))
    const listener = await listen(`unix:${lent}`, (connection) => {
      kept.#lending = kept.#lending.then(() => kept.#lend(new WireClient(connection)))
    })
    const kept = new KeptConnection(server, version, listener)
    return kept
  }

  /** Bytes of a region, when nobody has the connection. */
  async read(region: number, byteLength: number): Promise<Buffer> {
    await this.#lending
    return (await this.#server.ok(REGION_READ, u64(0), u32(region, byteLength))).subarray(16)
  }

  async write(region: number, bytes: Uint8Array): Promise<void> {
    await this.#lending
    await this.#server.ok(REGION_WRITE, u64(0), u32(region, bytes.length), bytes)
  }

  async close(): Promise<void> {
    await this.#listener.close()
    await this.#lending
    await this.#server.duplex.cancel(undefined)
  }

  async #lend(client: WireClient): Promise<void> {
    for (;;) {
      const command = await client.next()
      if (command === undefined) break
      if (command.command === VERSION) {
        await client.write(wireMessage(command.id, VERSION, this.#version, { flags: 1 }))
        continue
      }
      await this.#server.write(wireMessage(command.id, command.command, command.payload, command))
      const reply = await this.#server.next()
      if (reply === undefined) throw new Error('the server left')
      await client.write(wireMessage(reply.id, reply.command, reply.payload, reply))
    }
    await client.duplex.close()
  }
}
