/**
 * Arguments that several commands share.
 *
 * @module
 */

import { Argument, InvalidArgumentError, Option } from 'commander'
import { VfioError } from '../errors.ts'
import { parseTransportUrl } from '../node/transport-url.ts'
import { parseByteRate, parseByteSize } from './byte-size.ts'
import {
  DEVICE_SPECS,
  type DeviceSpec,
  OWN_SPECS,
  parseDeviceSpec,
  parseOwnSpec,
  parseSocketPath,
} from './device-spec.ts'
import { parseDuration } from './duration.ts'
import { UsageError } from './failure.ts'
import { parseInteger } from './words.ts'

/** A device. */
export function deviceArgument(name = '<device>'): Argument {
  return new Argument(name, DEVICE_SPECS).argParser(checked(parseDeviceSpec))
}

/** A device that is created here. */
export function ownDeviceArgument(name = '<device>'): Argument {
  return new Argument(name, OWN_SPECS).argParser(checked(parseOwnSpec))
}

/** `--socket`, once or more. */
export function socketOption(description: string): Option {
  const parse = checked(parseSocketPath)
  return new Option('-s, --socket <path>', description).argParser((text, paths?: readonly string[]) => [
    ...(paths ?? []),
    parse(text),
  ])
}

/** The stream that a command reads. */
export function inputArgument(): Argument {
  return new Argument('<in>', 'a migration stream; - is stdin')
}

/** An option that takes a size. */
export function parsedSize(flags: string, description: string): Option {
  return new Option(flags, description).argParser(checked(parseByteSize))
}

/** What one linear memory can hold, less 64 MiB for everything beside the device's memory. */
export const MAX_MEMORY_BYTES: number = 4 * 1024 ** 3 - 64 * 1024 ** 2

/** `--max-memory`. */
export function maxMemoryOption(): Option {
  return parsedSize('--max-memory <size>', 'refuse a device with more memory (default: 4 GiB less 64 MiB)')
}

/** @throws {@link UsageError} when the limit is given for memory that is there already */
export function checkMaxMemory(spec: DeviceSpec, maxMemory: number | undefined): void {
  if (maxMemory !== undefined && spec.type === 'vfio-user')
    throw new UsageError(
      'Cannot limit the memory of a device: its server has it already, leave --max-memory out',
    )
}

/** An option that takes a time; its value is in milliseconds. */
export function durationOption(flags: string, description: string, defaultText?: string): Option {
  const option = new Option(flags, description).argParser(checked(parseDuration))
  return defaultText === undefined ? option : option.default(parseDuration(defaultText), defaultText)
}

/** An option that takes bytes per second. */
export function byteRateOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(checked(parseByteRate))
}

/** An option that takes a whole number of `least` to `most`. */
export function countOption(flags: string, description: string, least: number, most: number): Option {
  return new Option(flags, description).argParser(
    checked((text) => {
      const count = parseInteger(text)
      if (count !== undefined && count >= least && count <= most) return count
      throw new RangeError(`Cannot read "${text}": it is no whole number of ${least} to ${most}`)
    }),
  )
}

/** `--allow-origin`, once or more. */
export function originOption(): Option {
  const parse = checked(parseOrigin)
  return new Option(
    '--allow-origin <origin>',
    'let pages of this origin in, such as https://example.org; again for another (ws:, wss:)',
  ).argParser((text, origins?: readonly string[]) => [...(origins ?? []), parse(text)])
}

function parseOrigin(text: string): string {
  const { origin, href } = URL.canParse(text) ? new URL(text) : { origin: 'null', href: text }
  // Nothing but a scheme, a host and a port; browsers leave the scheme's own port out.
  if (origin !== 'null' && href === `${origin}/`) return origin
  throw new RangeError(`Cannot allow "${text}": it is no origin, write one such as https://example.org:8080`)
}

/** An option that says where to connect or listen. */
export function urlOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(checked(transportUrl)).makeOptionMandatory()
}

function transportUrl(text: string): string {
  try {
    parseTransportUrl(text)
    return text
  } catch (error) {
    throw VfioError.is(error) ? new RangeError(error.message) : error
  }
}

/** A parser whose refusal is a matter of usage. */
function checked<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      if (error instanceof RangeError) throw new InvalidArgumentError(error.message)
      throw error
    }
  }
}
