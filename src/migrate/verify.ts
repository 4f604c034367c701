/**
 * Checks a migration stream whole.
 *
 * @module
 */

import type { SourceLike } from '../transport/index.ts'
import { type StreamReport, survey, type SurveyOptions } from './stream-survey.ts'

/**
 * As {@link inspect}, and verifies every payload, compressed pages by decompressing them: a stream that resolves here is as it was saved. Whether a
 * device accepts its state only the device can say.
 *
 * @throws {@link VfioError} as {@link inspect}
 * @example
 * ```ts
 * import { verify } from 'stopcopy'
 * import { fileSource } from 'stopcopy/node'
 * await verify(fileSource('mtty.stopcopy')).catch(({ section, offset }) => console.log(section, offset))
 * ```
 */
export function verify(source: SourceLike, options: SurveyOptions = {}): Promise<StreamReport> {
  return survey(source, 'verify the stream', { ...options, verifyPayloads: true })
}
