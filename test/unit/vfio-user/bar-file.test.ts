/** A BAR that is a file: mapped by the client, seen by the device. */

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/index.ts'
import {
  connect,
  connectFds,
  fdFiles,
  fdPassingObstacle,
  listen,
  listenFds,
} from '../../../src/node/index.ts'
import { serveVfioUser, VfioUserClient } from '../../../src/vfio-user/index.ts'
import { temporaryDirectory } from '../node/temporary-directory.ts'

const obstacle = fdPassingObstacle()
const BAR_BYTES = 16_384
const directory = temporaryDirectory()

/** A client of an mtty with such a BAR beside its own. */
async function serveOne(name: string, withFds: boolean, areas?: { offset: bigint; size: bigint }[]) {
  const files = fdFiles()
  const fd = files.createMemory(2 * BAR_BYTES)
  const seen = files.map(fd, BigInt(BAR_BYTES), BAR_BYTES, { write: true })
  const driver = createMtty()
  const device = await VfioDevice.open(driver)
  const file = { fd, offset: BigInt(BAR_BYTES), ...(areas === undefined ? {} : { areas }) }
  const bars = [...driver.pci.bars, { index: 2, kind: 'memory', byteLength: BAR_BYTES, file } as const]
  const pci = Object.create(driver.pci, { bars: { value: bars } }) as typeof driver.pci
  const url = `unix:${join(directory, name)}`
  const [take, dial] = withFds ? [listenFds, connectFds] : [listen, connect]
  let report: Promise<unknown> | undefined
  const listener = await take(url, (connection) => {
    report = serveVfioUser(device, connection, { pci })
  })
  const client = await VfioUserClient.connect(await dial(url))
  const end = async (): Promise<void> => {
    await client.close()
    await report
    await listener.close()
    await device.close()
    seen.unmap()
    files.close(fd)
  }
  return { client, files, seen, end }
}

if (obstacle === undefined) describe('a BAR with a file', cases)
else
  it(`has no file here: ${obstacle.message}`, () => {
    expect(() => fdFiles()).toThrow(obstacle.message)
  })

function cases(): void {
  it('is mapped by the client, and each side sees what the other writes', async () => {
    const { client, files, seen, end } = await serveOne('whole', true)
    const region = await client.regionInfo(2)
    expect(region).toMatchObject({ flags: 15, size: BigInt(BAR_BYTES), offset: BigInt(BAR_BYTES) })
    expect(region.areas).toEqual([{ offset: 0n, size: BigInt(BAR_BYTES) }])
    const fd = region.fd as number
    const mine = files.map(fd, region.offset, BAR_BYTES, { write: true })
    mine.bytes.set([1, 2, 3], 5000)
    expect([...seen.bytes.subarray(4999, 5004)]).toEqual([0, 1, 2, 3, 0])
    seen.bytes[0] = 77
    expect(mine.bytes[0]).toBe(77)
    mine.unmap()
    files.close(fd)
    await end()
  })

  it('names the areas that can be mapped, where they are not all of it', async () => {
    const areas = [
      { offset: 4096n, size: 4096n },
      { offset: 12_288n, size: 4096n },
    ]
    const { client, files, end } = await serveOne('areas', true, areas)
    const region = await client.regionInfo(2)
    expect(region.areas).toEqual(areas)
    files.close(region.fd as number)
    await end()
  })

  it('is a BAR without one over a connection that carries no descriptors', async () => {
    const { client, end } = await serveOne('plain', false)
    const region = await client.regionInfo(2)
    expect(region).toMatchObject({ flags: 3, size: BigInt(BAR_BYTES) })
    expect(region).not.toHaveProperty('fd')
    await end()
  })
}
