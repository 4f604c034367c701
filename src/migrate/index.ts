/**
 * The VMM side of a migration: save, restore, and streams without a device.
 *
 * @module
 */

export { inspect } from './inspect.ts'
export { type Prelude, readPrelude } from './prelude.ts'
export type { Owner, RestoreReport, SaveReport, TransferReport } from './report.ts'
export { restore, type RestoreOptions } from './restore.ts'
export { save, type SaveOptions } from './save.ts'
export {
  LISTED_SECTIONS,
  type RegionReport,
  type SectionReport,
  type StreamReport,
  type SurveyOptions,
  type TagReport,
} from './stream-survey.ts'
export { verify } from './verify.ts'
