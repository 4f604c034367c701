/**
 * libvfio-user's C server sample, as it is: saved, restored and migrated between two of it, by `stopcopy` and by a
 * program.
 *
 * The sample aborts where less or more than its 0x3008 bytes were moved, refuses to run when the time in its BAR0 has
 * passed, reads BAR1 from its start whatever the offset, and exits when its client leaves.
 */

import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DeviceState, migrate, restore, save } from '../../src/index.ts'
import { connect, fileSink, fileSource } from '../../src/node/index.ts'
import { VfioUserClient } from '../../src/vfio-user/index.ts'
import { stopcopy } from '../e2e/command.ts'
import { KeptConnection } from './kept-connection.ts'
import { descriptors, librarySamples, need, type Peer, type Peers, withPeers } from './peers.ts'

const { RUNNING, STOP } = DeviceState
const OURS = fileURLToPath(new URL('sample-server.mjs', import.meta.url))
const MEMORY_BYTES = 0x3000
const LIMIT_MS = 120_000
const DONE = { code: 0, stderr: '' }

interface Served {
  readonly socket: string
  readonly peer: Peer
}

async function serve(peers: Peers, name: string, server: string): Promise<Served> {
  const socket = peers.path(name)
  return { socket, peer: await peers.serveSample(server, socket) }
}

/** A time that does not come while a test runs, as BAR0 has it. */
function later(): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64LE(BigInt(Math.floor(Date.now() / 1000) + 10_000))
  return bytes
}

/** It aborts, or exits with a failure, where something is wrong. */
async function endsWell({ peer }: Served): Promise<void> {
  expect(await peer.exited, peer.output).toBe(0)
}

async function contents(client: VfioUserClient): Promise<Buffer> {
  const bytes = Buffer.alloc(MEMORY_BYTES)
  await client.readRegion(1, 0, bytes)
  return bytes
}

describe('C server sample of libvfio-user', { timeout: LIMIT_MS }, () => {
  it('is saved as it starts by the command, which restores it to another', async ({ skip }) => {
    const { server } = need(librarySamples(), skip)
    await withPeers(async (peers) => {
      const [a, b] = [await serve(peers, 'a', server), await serve(peers, 'b', server)]
      const stream = peers.path('stream')
      expect(await stopcopy(['save', `vfio-user:${a.socket}`, '-o', stream])).toMatchObject(DONE)
      await endsWell(a)
      expect(await stopcopy(['verify', stream])).toMatchObject(DONE)
      expect(await stopcopy(['restore', `vfio-user:${b.socket}`, stream])).toMatchObject(DONE)
      await endsWell(b)
    })
  })

  it('is saved with what was written to it by the command, which restores it to another, data identical', async ({
    skip,
  }) => {
    const { server } = need(librarySamples(), skip)
    await withPeers(async (peers) => {
      const [a, b] = [await serve(peers, 'a', server), await serve(peers, 'b', server)]
      const [lentA, lentB, first, second] = ['lent-a', 'lent-b', 'first', 'second'].map((name) =>
        peers.path(name),
      ) as [string, string, string, string]
      const source = await KeptConnection.open(a.socket, lentA)
      const destination = await KeptConnection.open(b.socket, lentB)
      const memory = randomBytes(MEMORY_BYTES)
      await source.write(0, later())
      await source.write(1, memory)

      expect(await stopcopy(['save', `vfio-user:${lentA}`, '-o', first])).toMatchObject(DONE)
      expect(await stopcopy(['verify', first])).toMatchObject(DONE)
      expect(await stopcopy(['restore', `vfio-user:${lentB}`, first, '--run'])).toMatchObject(DONE)
      expect(memory.equals(await destination.read(1, MEMORY_BYTES))).toBe(true)
      // BAR0 cannot be read back as it is, but in a stream.
      expect(await stopcopy(['save', `vfio-user:${lentB}`, '-o', second])).toMatchObject(DONE)
      expect((await readFile(second)).equals(await readFile(first))).toBe(true)
      await source.close()
      await destination.close()
      await Promise.all([endsWell(a), endsWell(b)])
    })
  })

  it('is saved and restored by a program, data identical, and runs on at both ends', async ({ skip }) => {
    const { server } = need(librarySamples(), skip)
    await withPeers(async (peers) => {
      const { a, b, source, destination, memory } = await pair(peers, server)
      const [first, second] = [peers.path('first'), peers.path('second')]
      await save(source, fileSink(first), { finalState: RUNNING })
      await restore(destination, fileSource(first))
      expect(memory.equals(await contents(destination))).toBe(true)
      await save(destination, fileSink(second), { finalState: RUNNING })
      expect((await readFile(second)).equals(await readFile(first))).toBe(true)
      expect([await source.state(), await destination.state()]).toEqual([RUNNING, RUNNING])
      await Promise.all([source.close(), destination.close(), endsWell(a), endsWell(b)])
    })
  })

  it('is migrated to another, without pre-copy', async ({ skip }) => {
    const { server } = need(librarySamples(), skip)
    await withPeers(async (peers) => {
      const { a, b, source, destination, memory } = await pair(peers, server)
      const { owner } = await migrate(source, destination, { precopy: false })
      expect(owner).toBe('destination')
      expect([await source.state(), await destination.state()]).toEqual([STOP, RUNNING])
      expect(memory.equals(await contents(destination))).toBe(true)
      await Promise.all([source.close(), destination.close(), endsWell(a), endsWell(b)])
    })
  })

  it('refuses what its own pre-copy sends it, and the source runs on', async ({ skip }) => {
    const { server } = need(librarySamples(), skip)
    await withPeers(async (peers) => {
      const { a, b, source, destination, memory } = await pair(peers, server)
      // BAR1 in PRE_COPY and again in STOP_COPY; a destination takes no more than the 0x3008 bytes of the latter.
      await expect(migrate(source, destination, { precopy: true })).rejects.toMatchObject({
        code: 'EINVAL',
        report: { owner: 'source' },
      })
      expect(await source.state()).toBe(RUNNING)
      expect(memory.equals(await contents(source))).toBe(true)
      await source.close()
      await destination.close().catch(() => {})
      await Promise.all([endsWell(a), endsWell(b)])
    })
  })

  it('is migrated with pre-copy to a server of ours', async ({ skip }) => {
    const { server } = need(librarySamples(), skip)
    need(descriptors(), skip)
    await withPeers(async (peers) => {
      const a = await serve(peers, 'a', server)
      const socket = peers.path('ours')
      const b = { socket, peer: await peers.serve(process.execPath, [OURS, socket], socket) }
      // The one has BARs of other sizes than the other, and both load the same bytes.
      const { source, destination, memory } = await filled(a, b, true)
      const report = await migrate(source, destination)
      expect(report.owner).toBe('destination')
      expect(report.iterations.length).toBeGreaterThan(0)
      expect(memory.equals(await contents(destination))).toBe(true)
      await Promise.all([source.close(), destination.close(), endsWell(a), endsWell(b)])
    })
  })
})

async function pair(peers: Peers, server: string): Promise<{ a: Served; b: Served } & Filled> {
  const [a, b] = [await serve(peers, 'a', server), await serve(peers, 'b', server)]
  return { a, b, ...(await filled(a, b)) }
}

interface Filled {
  readonly source: VfioUserClient
  readonly destination: VfioUserClient
  readonly memory: Buffer
}

/** Connected to both; random bytes are in the first. */
async function filled(a: Served, b: Served, passesForFirst = false): Promise<Filled> {
  const source = await VfioUserClient.connect(await connect(`unix:${a.socket}`))
  const { identity } = source
  const options = passesForFirst ? { identity } : {}
  const destination = await VfioUserClient.connect(await connect(`unix:${b.socket}`), options)
  const memory = randomBytes(MEMORY_BYTES)
  await source.writeRegion(0, 0, later())
  await source.writeRegion(1, 0, memory)
  return { source, destination, memory }
}
