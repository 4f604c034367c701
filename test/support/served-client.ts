/** A device, a server for it, and a client of the server, over one memory. @module */

import type { Driver } from '../../src/device/driver.ts'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { type ByteDuplex, memoryPair } from '../../src/transport/index.ts'
import {
  type ServeOptions,
  type ServeReport,
  serveVfioUser,
  VfioUserClient,
  type VfioUserClientOptions,
} from '../../src/vfio-user/index.ts'
import { ScriptedPci } from './vfio-user-wire.ts'

/** What {@link serveAndConnect} made. */
export interface ServedClient {
  readonly device: VfioDevice
  readonly client: VfioUserClient
  /** The server's end of the connection. */
  readonly there: ByteDuplex
  /** Settles when the client left and the device was closed. */
  readonly left: Promise<ServeReport>
}

/** Opens `driver`, serves it and connects to the server; when the client leaves, the device is closed. */
export async function serveAndConnect(
  driver: Driver,
  client: VfioUserClientOptions = {},
  server: Partial<ServeOptions> = {},
): Promise<ServedClient> {
  const device = await VfioDevice.open(driver)
  const [here, there] = memoryPair()
  const served = serveVfioUser(device, there, { pci: new ScriptedPci(), ...server })
  const left = served.finally(() => device.close())
  left.catch(() => {})
  return {
    device,
    there,
    left,
    client: await VfioUserClient.connect(here, { requestTimeoutMs: 60_000, ...client }),
  }
}
