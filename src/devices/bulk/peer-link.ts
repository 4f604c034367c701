/**
 * Links between bulk devices. They are the VMM's wiring, no part of a device's state: the devices of a
 * destination are linked by their own VMM.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import type { BulkDriver } from './bulk.ts'
import type { BulkP2pEvent, PeerDma } from './peer-dma.ts'

const engines = new WeakMap<object, PeerDma>()

/** Makes a driver one that can be linked. */
export function registerPeer(driver: object, dma: PeerDma): void {
  engines.set(driver, dma)
}

/** What joins bulk devices. */
export interface BulkLink {
  /** Parts the devices; transfers under way end where they are. */
  unlink(): void
}

/**
 * Lets bulk devices reach each other's memory: by the descriptors TO_PEER and FROM_PEER, which name a
 * device by its place in `devices`, and by `p2pPagesPerSecond` of the workload, which writes records into
 * the reserved pages of the others (a peer without any takes none). Open or not, in any state.
 *
 * In RUNNING_P2P and PRE_COPY_P2P a device starts no transfer, has finished its own, and still takes those
 * of its peers. What reaches a stopped device is refused, counted and told.
 *
 * @param options - `onP2p`: called with all that happens
 * @throws {@link VfioError} EINVAL for less than two devices, the same one twice, one that is linked, or
 * one that is no bulk
 * @example
 * ```ts
 * import { createBulk, linkBulkPeers } from 'stopcopy/devices'
 * const workload = { pagesPerSecond: 1000, p2pPagesPerSecond: 1000 }
 * const devices = [1, 2].map((seed) => createBulk({ memoryBytes: 2 ** 24, workload: { ...workload, seed } }))
 * linkBulkPeers(devices, { onP2p: ({ kind, device }) => console.log(kind, device) })
 * ```
 */
export function linkBulkPeers(
  devices: readonly BulkDriver[],
  options: { readonly onP2p?: (event: BulkP2pEvent) => void } = {},
): BulkLink {
  const peers = devices.map((device) => engines.get(device))
  if (devices.length < 2) throw refusal(`${devices.length} is too few`, 'link two or more')
  if (new Set(devices).size < devices.length) throw refusal('one is there twice', 'name each once')
  const joined = peers.map((peer, index) => {
    if (peer === undefined) throw refusal(`number ${index} is no bulk`, 'pass what createBulk returned')
    if (peer.joined) throw refusal(`number ${index} is linked`, 'unlink it first')
    return peer
  })
  const wiring = { devices: joined, onP2p: options.onP2p }
  for (const [index, peer] of joined.entries()) peer.join(wiring, index)
  return {
    unlink: () => {
      for (const peer of joined) peer.leave()
    },
  }
}

function refusal(reason: string, remedy: string): VfioError {
  return new VfioError('EINVAL', `Cannot link bulk devices: ${reason}, ${remedy}`)
}
