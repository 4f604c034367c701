/**
 * A device that a module of the person's own makes.
 *
 * @module
 */

import type { DeviceExtras, DeviceOffer } from '../device/device-module.ts'
import type { ConfigurationValue } from '../device/driver.ts'
import { VfioDevice } from '../device/vfio-device.ts'
import { type Awaitable, VfioError } from '../errors.ts'
import { askDeviceModule, checkMade } from './device-module.ts'
import { failureLine, failureOf } from './failure.ts'
import type { DeviceElsewhere, OpenedDevice } from './open-device.ts'
import { NAME_CHARACTERS, plainLine } from './plain-line.ts'

/**
 * Asks the module for a device and opens it.
 *
 * @param elsewhere - the device that it is to take over, where there is one
 * @param maxMemory - most bytes of device memory that the stream and the device may name
 * @throws {@link VfioError} what loading and asking it fail with; EMSGSIZE above `maxMemory`; EINVAL when that cannot be
 * told, or when it made a device of another type; ENOTTY when it made one that cannot migrate
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
    const name = `${plainLine(extras.name ?? type, NAME_CHARACTERS)} of ${path}`
    const device = await VfioDevice.open(driver)
    const memoryBytes = memoryBytesOf(configuration)
    return {
      device,
      ...(extras.pci === undefined ? {} : { pci: extras.pci }),
      options: {
        type,
        module: path,
        ...(typeof memoryBytes === 'string' || memoryBytes === 0 ? {} : { memoryBytes }),
      },
      name,
      describe: () => describe(extras),
      async close() {
        await settled('close', path, () => device.close())
        await destroy(path, extras)
      },
    }
  } catch (error) {
    await destroy(path, extras)
    throw error
  }
}

/**
 * What the memory regions of a `defineDevice` device come to, by the names that they have in a stream; or in words
 * what is wrong with the declaration of one.
 */
export function memoryBytesOf(configuration: Readonly<Record<string, ConfigurationValue>>): number | string {
  let total = 0
  for (const [name, bytes] of Object.entries(configuration)) {
    const [, index] = /^memory\.(\d+)\.bytes$/.exec(name) ?? []
    if (index === undefined) continue
    // A text or a bigint would pass any limit, and a module may still make a number of it.
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0)
      return `its memory region ${index} is not declared by an integer of bytes`
    total += bytes
  }
  return total
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
  if (typeof bytes === 'string')
    throw new VfioError('EINVAL', `Cannot ${action} the device: ${bytes}, use a number`)
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

/** In one plain line, whatever it says: a guest may decide that. */
function describe(extras: DeviceExtras): string | undefined {
  try {
    const place = extras.describe?.()
    return place === undefined ? undefined : plainLine(place, NAME_CHARACTERS)
  } catch (error) {
    return `somewhere: ${failureOf(error).message}`
  }
}

/** Gives back what the module made. Never rejects: what fails is told on stderr. */
export function destroy(path: string, extras: DeviceExtras): Promise<void> {
  return settled('destroy', path, () => extras.destroy?.())
}

/** What fails at the end of a device changes nothing about where it runs now; it is told. */
async function settled(action: string, path: string, end: () => Awaitable<void>): Promise<void> {
  try {
    await end()
  } catch (error) {
    // Of an error that is none of ours the device says no more than that its driver failed.
    const why = VfioError.is(error, 'EIO') && error.cause !== undefined ? error.cause : error
    const message = `Cannot ${action} the device of "${path}": ${failureOf(why).message}`
    process.stderr.write(`${failureLine({ ...failureOf(error), message })}\n`)
  }
}
