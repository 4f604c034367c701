/**
 * libvfio-user's C client sample, as it is, migrates a device from one server to another: both ours, then its own C
 * server in the place of one of them.
 */

import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { descriptors, librarySamples, LISTENING, need, type Peers, withPeers } from './peers.ts'

const SERVER = fileURLToPath(new URL('sample-server.mjs', import.meta.url))
/** The client lets the device wait for 10 s, and three run at once. */
const LIMIT_MS = 120_000
const SOCKET = 'v.sock'

type Kind = 'ours' | 'C'
type Line = { device?: string; command?: string; error?: string; ended?: string; refused?: number }

describe('C client sample of libvfio-user', () => {
  it.concurrent.for<{ source: Kind; destination: Kind }>([
    { source: 'ours', destination: 'ours' },
    { source: 'ours', destination: 'C' },
    { source: 'C', destination: 'ours' },
  ])('migrates from $source to $destination', { timeout: LIMIT_MS }, async (roles, { skip }) => {
    need(descriptors(), skip)
    const samples = need(librarySamples(), skip)
    const { source, destination, client } = await withPeers((peers) => migrate(peers, samples, roles))
    // Once at each end; the second time with what is copied into the child of its fork.
    expect(client.match(/client: INTx triggered!/g)).toHaveLength(2)
    if (roles.source === 'C') expect(source).toContain('do_dma_io: MESSAGE success')
    else checkLog(source, [{ command: 'REGION_READ', error: 'EINVAL' }])
    if (roles.destination === 'C') {
      expect(client).toContain('do_dma_io: MESSAGE success')
      expect(client).toContain('removing DMA region iova=[0xf000, ')
    } else {
      const commands = checkLog(destination, [])
      expect(commands.slice(-2)).toEqual(['DEVICE_SET_IRQS', 'DMA_UNMAP'])
      expect(commands.filter((command) => command === 'MIG_DATA_WRITE')).toHaveLength(13)
    }
  })
})

/** What both servers and the client said. The client starts the destination itself, as `server` beside it. */
async function migrate(
  peers: Peers,
  { client, server }: { client: string; server: string },
  roles: { source: Kind; destination: Kind },
): Promise<{ source: string; destination: string; client: string }> {
  await copyFile(client, peers.path('client'))
  const log = peers.path('destination.log')
  const script =
    roles.destination === 'C' ? patient(server) : `exec '${process.execPath}' '${SERVER}' --log '${log}' "$@"`
  await writeFile(peers.path('server'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const socket = peers.path(SOCKET)
  const source =
    roles.source === 'C'
      ? await peers.serveSample(server, socket)
      : await peers.serve(process.execPath, [SERVER, socket], socket)
  const running = peers.start(peers.path('client'), [socket])
  // After its fork the first process is the destination.
  expect(await running.exited, running.output).toBe(0)
  expect(await source.exited, source.output).toBe(0)
  return {
    source: source.output,
    destination: roles.destination === 'C' ? '' : await readFile(log, 'utf8'),
    client: running.output,
  }
}

/** The C server, called as `-v SOCKET`: the client connects once there is a socket, which may be too early for it. */
function patient(server: string): string {
  return `'${server}' "$1" "$2.new" &
until grep -q " ${LISTENING} .* $2\\.new\\$" /proc/net/unix; do sleep 0.05; done
mv "$2.new" "$2"
wait $!`
}

/** The commands of a log of ours, whose device raised its interrupt and reached memory. */
function checkLog(log: string, refused: readonly Line[]): string[] {
  const lines = log
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
  expect(lines.flatMap(({ device }) => device ?? [])).toEqual(['interrupt', 'dma done'])
  expect(lines.filter(({ error }) => error !== undefined)).toEqual(refused)
  expect(lines.at(-1)).toMatchObject({ ended: 'left', refused: refused.length })
  return lines.flatMap(({ command }) => command ?? [])
}
