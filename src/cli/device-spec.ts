/**
 * Device specs of the command line: `mtty[:ports=1|2]`, `bulk[:size=256MiB,seed=1]`, a module that makes a device
 * `./device.mjs`, and another program's device `vfio-user:PATH`.
 *
 * @module
 */

import { VfioError } from '../errors.ts'
import { parseTransportUrl } from '../node/transport-url.ts'
import { parseByteSize } from './byte-size.ts'
import { parseInteger } from './words.ts'

/** A UART card; `ports` only where the spec names them. */
export interface MttySpec {
  readonly type: 'mtty'
  readonly ports?: 1 | 2
}

/** A device with a large memory; options only where the spec names them. */
export interface BulkSpec {
  readonly type: 'bulk'
  /** Bytes of memory. */
  readonly size?: number
  /** Seed of the power-on memory. */
  readonly seed?: number
}

/** A device that a module of the person's own makes. */
export interface ModuleSpec {
  readonly type: 'module'
  /** A path, or a `file:` URL. */
  readonly path: string
}

/** A device that another program serves. */
export interface ServedSpec {
  readonly type: 'vfio-user'
  /** The UNIX socket of its server. */
  readonly path: string
}

/** A device of this package: what the spec leaves out comes from the stream, or from {@link BULK_DEFAULTS}. */
export type ShippedSpec = MttySpec | BulkSpec
/** A device that is created here. */
export type OwnSpec = ShippedSpec | ModuleSpec
/** What a spec says. */
export type DeviceSpec = OwnSpec | ServedSpec

/** A `save bulk` that says nothing: 256 MiB of pseudo-random memory. */
export const BULK_DEFAULTS: { readonly size: number; readonly seed: number } = {
  size: 256 * 1024 ** 2,
  seed: 1,
}

/** For `--help`: devices that are created here. */
export const OWN_SPECS = 'mtty[:ports=1|2], bulk[:size=256MiB,seed=1] or ./MODULE.mjs'
/** For `--help`. */
export const DEVICE_SPECS = 'mtty[:ports=1|2], bulk[:size=256MiB,seed=1], ./MODULE.mjs or vfio-user:SOCKET'

/** How a path begins, so that no name of a device is one. */
const PATH = /^(?:\.{0,2}\/|file:)/
const MODULE_NAME = /\.(?:js|mjs|ts|mts)$/

/**
 * Reads a device spec.
 *
 * @throws RangeError for an unknown device or option, or a value out of range
 */
export function parseDeviceSpec(text: string): DeviceSpec {
  const path = /^vfio-user:(.*)$/s.exec(text)?.[1]
  if (path !== undefined) return { type: 'vfio-user', path: parseSocketPath(path) }
  return parseSpec(text, DEVICE_SPECS)
}

/**
 * Reads the path of a UNIX socket: also as `serve` prints it, `unix:PATH`.
 *
 * @throws RangeError when no socket can have it
 */
export function parseSocketPath(text: string): string {
  const path = text.replace(/^unix:/, '')
  try {
    parseTransportUrl(`unix:${path}`)
    return path
  } catch (error) {
    throw VfioError.is(error) ? new RangeError(error.message) : error
  }
}

/**
 * Reads the spec of a device that is to be created here.
 *
 * @throws RangeError as {@link parseDeviceSpec}
 */
export function parseOwnSpec(text: string): OwnSpec {
  if (text.startsWith('vfio-user:'))
    throw new RangeError(`Cannot read device "${text}": another server has it, use ${OWN_SPECS}`)
  return parseSpec(text, OWN_SPECS)
}

/** Why `--memory` and the like are refused for a device that is no bulk device. */
export function noMemory({ type }: DeviceSpec): string {
  return type === 'module' ? 'a device module has its own' : `a device of type ${type} has none`
}

function parseSpec(text: string, specs: string): OwnSpec {
  if (PATH.test(text)) {
    if (MODULE_NAME.test(text)) return { type: 'module', path: text }
    throw new RangeError(
      `Cannot read device "${text}": it is no module, name a file that ends in .mjs, .js or .ts`,
    )
  }
  const colon = text.indexOf(':')
  const type = colon < 0 ? text : text.slice(0, colon)
  if (type !== 'mtty' && type !== 'bulk')
    throw new RangeError(`Cannot read device "${text}": there is no device "${type}", use ${specs}`)
  const options = colon < 0 ? [] : parseOptions(text, text.slice(colon + 1))
  if (type === 'mtty') return options.reduce<MttySpec>(withMttyOption, { type })
  return options.reduce<BulkSpec>(withBulkOption, { type })
}

type Option = readonly [name: string, value: string]

function parseOptions(text: string, list: string): Option[] {
  const seen = new Set<string>()
  return list.split(',').map((option) => {
    const [name = '', value, ...rest] = option.split('=')
    if (name === '' || value === undefined || value === '' || rest.length > 0)
      throw new RangeError(`Cannot read device "${text}": "${option}" is no option, use ${OWN_SPECS}`)
    if (seen.has(name)) throw new RangeError(`Cannot read device "${text}": ${name} comes twice, say it once`)
    seen.add(name)
    return [name, value]
  })
}

function withMttyOption(spec: MttySpec, [name, value]: Option): MttySpec {
  if (name !== 'ports') return unknownOption(spec.type, name)
  if (value === '1' || value === '2') return { ...spec, ports: value === '1' ? 1 : 2 }
  throw new RangeError(`Cannot read device mtty: ports is ${value}, use 1 or 2`)
}

function withBulkOption(spec: BulkSpec, [name, value]: Option): BulkSpec {
  if (name === 'size') return { ...spec, size: parseByteSize(value) }
  if (name !== 'seed') return unknownOption(spec.type, name)
  const seed = parseInteger(value)
  if (seed !== undefined && seed >= 0 && seed <= 0xffff_ffff) return { ...spec, seed }
  throw new RangeError(`Cannot read device bulk: seed is ${value}, use 0 to 4294967295`)
}

function unknownOption(type: string, name: string): never {
  throw new RangeError(`Cannot read device ${type}: it has no option "${name}", use ${OWN_SPECS}`)
}
