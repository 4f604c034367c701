/**
 * Arguments that several commands share.
 *
 * @module
 */

import { Argument, InvalidArgumentError, Option } from 'commander'
import { formatBytes, parseByteSize } from './byte-size.ts'
import { DEVICE_SPECS, parseDeviceSpec } from './device-spec.ts'

/** The device of `save` and `restore`. */
export function deviceArgument(): Argument {
  return new Argument('<device>', DEVICE_SPECS).argParser(checked(parseDeviceSpec))
}

/** The stream that a command reads. */
export function inputArgument(): Argument {
  return new Argument('<in>', 'a migration stream; - is stdin')
}

/** An option that takes a size. */
export function sizeOption(
  flags: string,
  description: string,
  defaultBytes: number,
  defaultText: string = formatBytes(defaultBytes),
): Option {
  return new Option(flags, description).argParser(checked(parseByteSize)).default(defaultBytes, defaultText)
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
