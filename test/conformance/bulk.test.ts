import { afterEach, describe, it } from 'vitest'
import { type BulkDriver, BulkRegister, createBulk, linkBulkPeers } from '../../src/devices/index.ts'
import { array, createEngine, type Driver, defineDevice, u8, VfioDevice } from '../../src/index.ts'
import { conformance } from '../../src/testing/index.ts'

function conforms(name: string, driver: () => Driver, scratch?: { index: number; offset: number }): void {
  const create = (): Promise<VfioDevice> => VfioDevice.open(driver())
  describe(name, () => {
    for (const test of conformance(create, { driver, watchMs: 2, ...(scratch && { scratch }) }))
      it(`${test.name}: ${test.rule}`, () => test.run())
  })
}

const mask = { index: 0, offset: BulkRegister.RATE }
conforms('bulk, idle', () => createBulk({ memoryBytes: 65_537, seed: 1 }), mask)
conforms(
  'bulk, working',
  () => createBulk({ memoryBytes: 1_000_001, workload: { pagesPerSecond: 20_000 } }),
  mask,
)
for (const pattern of ['hot-set', 'sweep', 'burst'] as const)
  conforms(
    `bulk, ${pattern}`,
    () =>
      createBulk({ memoryBytes: 200_001, workload: { pagesPerSecond: 20_000, pattern, burstPeriodMs: 200 } }),
    mask,
  )
/** Devices at the other end of a link, each linked to one device of a case. */
const peers: Promise<VfioDevice>[] = []
afterEach(async () => {
  for (const peer of peers.splice(0)) await (await peer).close()
})
conforms(
  'bulk, linked to a peer',
  () => {
    const workload = { pagesPerSecond: 20_000, p2pPagesPerSecond: 20_000 }
    const [bulk, peer] = [1, 2].map(() => createBulk({ memoryBytes: 100_001, workload })) as [
      BulkDriver,
      BulkDriver,
    ]
    linkBulkPeers([bulk, peer])
    peers.push(VfioDevice.open(peer))
    return bulk
  },
  mask,
)
const engine = await createEngine({ memoryBytes: 8 << 20, shared: true })
conforms('bulk in shared memory', () => createBulk({ memoryBytes: 65_537, seed: 1, engine }), mask)
conforms('bulk without memory', () => createBulk({ memoryBytes: 0 }), mask)
for (const tracking of ['hash', 'diff'] as const)
  conforms(
    `bulk, tracked by ${tracking}`,
    () => createBulk({ memoryBytes: 200_001, seed: 1, tracking, workload: { pagesPerSecond: 20_000 } }),
    mask,
  )
conforms(
  'bulk, compressed',
  () =>
    createBulk({
      memoryBytes: 200_001,
      compression: 'lz4',
      workload: { pagesPerSecond: 20_000 },
    }),
  mask,
)
for (const flags of [1, 3, 5])
  conforms(`a defined device with flags ${flags}`, () =>
    defineDevice({
      type: 'defined',
      version: 1,
      flags,
      state: { registers: array(u8({ default: 3 }), 16) },
      memory: { local: { byteLength: 10_000 } },
    }),
  )
