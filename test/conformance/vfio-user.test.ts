/** The suite on a device at the other end of a vfio-user connection, unchanged. */

import { describe, expect, it } from 'vitest'
import { createBulk, createMtty } from '../../src/devices/index.ts'
import type { Driver } from '../../src/index.ts'
import { conformance, missingNeeds } from '../../src/testing/index.ts'
import type { VfioUserClient, VfioUserClientOptions } from '../../src/vfio-user/index.ts'
import { serveAndConnect } from '../support/served-client.ts'

function conforms(name: string, driver: () => Driver, options: VfioUserClientOptions = {}): void {
  const create = async (): Promise<VfioUserClient> => {
    const { client } = await serveAndConnect(driver(), options)
    // What is logged is the client's memory, so the suite's range of it must be there.
    await client.dmaMap({ address: 0n, size: 65_536n })
    return client
  }
  describe(name, () => {
    for (const test of conformance(create, { watchMs: 2 })) it(`${test.name}: ${test.rule}`, () => test.run())
  })
}

conforms('mtty over vfio-user', () => createMtty({ ports: 2 }))
conforms('bulk over vfio-user', () => createBulk({ memoryBytes: 65_537, seed: 1 }))
conforms('bulk over vfio-user in small messages', () => createBulk({ memoryBytes: 20_001, seed: 1 }), {
  maxDataBytes: 4096,
  readBytes: 1000,
  writeBytes: 777,
  outstanding: 3,
})
conforms('mtty over vfio-user, a command at a time', () => createMtty({ ports: 1 }), {
  dma: { read: (_, dst) => void dst.fill(0), write: () => {} },
})
conforms('bulk over vfio-user, working', () =>
  createBulk({ memoryBytes: 1_000_001, workload: { pagesPerSecond: 20_000 } }),
)

async function openBulk(): Promise<VfioUserClient> {
  return (await serveAndConnect(createBulk({ memoryBytes: 65_537 }))).client
}

describe('of a device over vfio-user', () => {
  it('nothing but the byte ioctl, a driver to fail and registers is missing', async () => {
    const client = await openBulk()
    const missing = new Set<string>()
    for (const test of conformance(openBulk))
      for (const need of await missingNeeds(test, client)) missing.add(need)
    expect([...missing].sort()).toEqual(['driver', 'ioctl', 'regions'])
    await client.close()
  })
})
