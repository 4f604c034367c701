/**
 * A device of another program, behind the socket of its vfio-user server.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { VfioUserClient } from '../vfio-user/index.ts'
import { connectUntil } from './connecting.ts'
import { InterruptedError } from './failure.ts'
import type { OpenedDevice } from './open-device.ts'
import { NAME_CHARACTERS, plainLine } from './plain-line.ts'

/**
 * Connects to the server.
 *
 * @param path - of its UNIX socket
 * @throws {@link VfioError} ENOTTY when the device cannot migrate; what connecting fails with
 */
export async function openServed(path: string, signal: AbortSignal): Promise<OpenedDevice> {
  const device = await VfioUserClient.connect(await connectUntil(signal, `unix:${path}`), { signal })
  const { type } = device.identity
  const said = plainLine(type, NAME_CHARACTERS)
  if (device.server.flags === undefined) {
    await device.close()
    const reason = `"${said}" at ${path} has no migration feature, use a server whose device can migrate`
    throw new VfioError('ENOTTY', `Cannot migrate the device: ${reason}`)
  }
  const close = (): Promise<void> => device.close()
  return { device, options: { type, socket: path }, name: `${said} at ${path}`, close }
}

/**
 * What to tell of a command that failed: of an interrupted one, what became of a device that outlives it.
 *
 * @param error - of `save` or `restore`
 */
export function withFate(error: unknown, { options }: OpenedDevice): unknown {
  if (options.socket === undefined || !VfioError.is(error, 'ECANCELED')) return error
  const [, fate] = /; (the (?:device|reset) .*)$/.exec(error.message) ?? []
  return fate === undefined ? error : new InterruptedError(fate, { cause: error })
}
