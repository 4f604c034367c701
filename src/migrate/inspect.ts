/**
 * Lists what a migration stream holds.
 *
 * @module
 */

import type { SourceLike } from '../transport/index.ts'
import { type StreamReport, survey, type SurveyOptions } from './stream-survey.ts'

/**
 * Reads a stream without a device: its header, configuration and sections. Checks order, lengths, coverage,
 * totals and all header checksums, but not those of the payloads, and decompresses nothing: see {@link verify}.
 *
 * @throws {@link VfioError} with `section` and `offset`, the first failure: EBADMSG a checksum, EPROTO
 * malformed or followed by more bytes, EINVAL incomplete, EOPNOTSUPP a newer version, EMSGSIZE a limit;
 * ECANCELED canceled; else what the source threw, EIO when that was no errno
 * @example
 * ```ts
 * import { inspect } from 'stopcopy'
 * import { fileSource } from 'stopcopy/node'
 * const { header, tags } = await inspect(fileSource('mtty.stopcopy'))
 * console.log(header.deviceType, tags)
 * ```
 */
export function inspect(source: SourceLike, options: SurveyOptions = {}): Promise<StreamReport> {
  return survey(source, 'inspect the stream', { ...options, verifyPayloads: false })
}
