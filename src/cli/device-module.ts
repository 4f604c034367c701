/**
 * Device modules of the command line: loaded, and asked for a device.
 *
 * @module
 */

import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { CreateDevice, DeviceExtras, DeviceOffer } from '../device/device-module.ts'
import type { Driver } from '../device/driver.ts'
import { Errno, type ErrnoName, VfioError } from '../errors.ts'
import { attempt } from '../node/node-error.ts'

let hasLoaded = false

/** Whether code of somebody else runs in this process. */
export function hasLoadedModule(): boolean {
  return hasLoaded
}

/** What a module made, in its two parts; {@link checkMade} says whether the first is a driver. */
export interface Made {
  readonly driver: unknown
  readonly extras: DeviceExtras
}

/**
 * Loads a module; a second time it is there already.
 *
 * @throws {@link VfioError} ENOENT when there is no such file, EOPNOTSUPP when the runtime reads no TypeScript, EINVAL
 * when it does not load or exports no function
 */
export async function loadDeviceModule(path: string): Promise<CreateDevice> {
  const action = `load device "${path}"`
  const url = path.startsWith('file:') ? new URL(path) : pathToFileURL(resolve(path))
  const found = await attempt(action, () => stat(fileURLToPath(url)))
  if (!found.isFile()) throw new VfioError('EINVAL', `Cannot ${action}: it is no regular file, name a module`)
  const exported = await importModule(url, action)
  const create = exported['createDevice'] ?? exported['default']
  if (typeof create === 'function') return create as CreateDevice
  const reason = 'it exports no function to make one, add `export default () => driver`'
  throw new VfioError('EINVAL', `Cannot ${action}: ${reason}`)
}

/**
 * Asks a module for a device.
 *
 * @throws {@link VfioError} with the errno of what it throws, EINVAL where that has none
 */
export async function askDeviceModule(path: string, offer: DeviceOffer): Promise<Made> {
  const create = await loadDeviceModule(path)
  let made: unknown
  try {
    made = await create(offer)
  } catch (error) {
    const { type } = offer
    const what = type === undefined ? 'make a device' : `take over a device of type ${JSON.stringify(type)}`
    throw new VfioError(errnoOf(error), `Cannot ${what}: "${path}" says: ${messageOf(error)}`, {
      cause: error,
    })
  }
  if (!isObject(made)) return { driver: made, extras: {} }
  return { driver: 'driver' in made ? made['driver'] : made, extras: made }
}

/** A driver, as far as `VfioDevice.open` does not look. @throws {@link VfioError} EINVAL when it is none */
export function checkMade(path: string, driver: unknown): Driver {
  const fault = faultOf(driver)
  if (fault === undefined) return driver as Driver
  const remedy = 'return what defineDevice returns, or an object with it as its driver'
  throw new VfioError('EINVAL', `Cannot make a device: "${path}" returned ${fault}, ${remedy}`)
}

async function importModule(url: URL, action: string): Promise<Record<string, unknown>> {
  hasLoaded = true
  try {
    return (await import(url.href)) as Record<string, unknown>
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === 'ERR_UNKNOWN_FILE_EXTENSION')
      throw new VfioError(
        'EOPNOTSUPP',
        `Cannot ${action}: this runtime reads no TypeScript, use Node 22.18 or later, Deno, Bun, or a .mjs file`,
        { cause: error },
      )
    const { name } = error as { name?: unknown }
    const kind = name === 'SyntaxError' ? 'SyntaxError: ' : ''
    throw new VfioError('EINVAL', `Cannot ${action}: it fails: ${kind}${messageOf(error)}`, { cause: error })
  }
}

function faultOf(driver: unknown): string | undefined {
  if (!isObject(driver)) return `${driver === null ? 'null' : typeof driver} for a driver`
  const { identity } = driver
  if (!isObject(identity)) return 'a driver without identity'
  const { type, version, fingerprint, stream } = identity
  const isWhole =
    typeof type === 'string' &&
    Number.isSafeInteger(version) &&
    fingerprint instanceof Uint8Array &&
    (stream === 'stopcopy' || stream === 'opaque')
  return isWhole ? undefined : 'a driver whose identity lacks a type, version, fingerprint or stream'
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function errnoOf(error: unknown): ErrnoName {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && Object.hasOwn(Errno, code) ? (code as ErrnoName) : 'EINVAL'
}
