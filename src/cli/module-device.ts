/**
 * A device that a module of the person's own makes.
 *
 * @module
 */

import type { DeviceExtras, DeviceOffer } from '../device/device-module.ts'
import type { ConfigurationValue } from '../device/driver.ts'
import { VfioDevice } from '../device/vfio-device.ts'
import { VfioError } from '../errors.ts'
import { askDeviceModule, checkMade } from './device-module.ts'
import { failureLine, failureOf } from './failure.ts'
import type { DeviceElsewhere, OpenedDevice } from './open-device.ts'

/**
 * Asks the module for a device and opens it.
 *
 * @param elsewhere - the device that it is to take over, where there is one
 * @param maxMemory - most bytes of device memory that the stream and the device may name
 * @throws {@link VfioError} what loading and asking it fail with; EMSGSIZE above `maxMemory`; EINVAL when it made a device
 * of another type; ENOTTY when it made one that cannot migrate
 */
export async function openModule(
  path: string,
  elsewhere?: DeviceElsewhere,
  maxMemory: number = Infinity,
): Promise<OpenedDevice> {
  if (elsewhere !== undefined) checkMemory(elsewhere.configuration, elsewhere.action, maxMemory)
  const { driver: made, extras } = await askDeviceModule(path, offerOf(elsewhere))
  try {
    const driver = checkMade(path, made)
    const { type, configuration = {} } = driver.identity
    if (elsewhere !== undefined) {
      checkMemory(configuration, elsewhere.action, maxMemory)
      checkType(path, type, elsewhere)
    }
    if (!driver.flags)
      throw new VfioError('ENOTTY', `Cannot migrate the device of "${path}": its flags are 0, give it some`)
    const device = await VfioDevice.open(driver)
    const memoryBytes = memoryBytesOf(configuration)
    return {
      device,
      ...(extras.pci === undefined ? {} : { pci: extras.pci }),
      options: { type, module: path, ...(memoryBytes === 0 ? {} : { memoryBytes }) },
      name: `${extras.name ?? type} of ${path}`,
      describe: () => describe(extras),
      async close() {
        await device.close()
        await destroy(path, extras)
      },
    }
  } catch (error) {
    await destroy(path, extras)
    throw error
  }
}

/** What the memory regions of a `defineDevice` device come to, by the names that they have in a stream. */
export function memoryBytesOf(configuration: Readonly<Record<string, ConfigurationValue>>): number {
  return Object.entries(configuration)
    .filter(([name]) => /^memory\.\d+\.bytes$/.test(name))
    .reduce((total, [, bytes]) => total + (typeof bytes === 'number' ? bytes : 0), 0)
}

function offerOf(elsewhere: DeviceElsewhere | undefined): DeviceOffer {
  if (elsewhere === undefined) return { configuration: {} }
  const { type, version, configuration } = elsewhere
  return { type, version, configuration }
}

/** Before anything of that size is allocated. */
function checkMemory(
  configuration: Readonly<Record<string, ConfigurationValue>>,
  action: string,
  maxMemory: number,
): void {
  const bytes = memoryBytesOf(configuration)
  if (bytes <= maxMemory) return
  const passes = `its memory of ${bytes} bytes passes the limit of ${maxMemory} bytes`
  throw new VfioError('EMSGSIZE', `Cannot ${action} the device: ${passes}, raise --max-memory`)
}

function checkType(path: string, type: string, elsewhere: DeviceElsewhere): void {
  if (type === elsewhere.type) return
  const [made, wanted] = [JSON.stringify(type), JSON.stringify(elsewhere.type)]
  throw new VfioError(
    'EINVAL',
    `Cannot ${elsewhere.action} the device: "${path}" made one of type ${made} for one of type ${wanted}, make that one or throw`,
  )
}

/** In one line, whatever it says. */
function describe(extras: DeviceExtras): string | undefined {
  try {
    return extras.describe?.().replaceAll(/\s+/g, ' ')
  } catch (error) {
    return `somewhere: ${failureOf(error).message}`
  }
}

/** What fails here changes nothing about the device any more; it is told. */
async function destroy(path: string, extras: DeviceExtras): Promise<void> {
  try {
    await extras.destroy?.()
  } catch (error) {
    const failure = failureOf(error)
    const message = `Cannot destroy the device of "${path}": ${failure.message}`
    process.stderr.write(`${failureLine({ ...failure, message })}\n`)
  }
}
