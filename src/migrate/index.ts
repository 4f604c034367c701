/**
 * The VMM side of a migration: save, restore, and streams without a device.
 *
 * @module
 */

export type { ConvergenceOptions } from './convergence-policy.ts'
export type { GuestMemoryDestination, GuestMemoryRange, GuestMemorySource } from './guest-memory.ts'
export {
  type HandoverOutcome,
  type HandoverVerdict,
  resolveHandover,
  type ResolveOptions,
} from './handover/resolve-handover.ts'
export type { Hello, StreamOffer } from './handover/payloads.ts'
export type { HandoverTicket } from './handover/ticket.ts'
export { inspect } from './inspect.ts'
export { migrate, type MigrateDestination } from './live/migrate.ts'
export type { MigrateOptions } from './live/migrate-options.ts'
export type {
  IterationReport,
  MigrateEvent,
  MigratePhase,
  MigrateProgress,
  MigrateReport,
  SwitchoverReason,
} from './live/migrate-report.ts'
export { MigrationError } from './live/migration-error.ts'
export { receive } from './receive/receive.ts'
export type { ReceiveOptions } from './receive/receive-options.ts'
export type { ReceivePhase, ReceiveProgress, ReceiveReport } from './receive/receive-report.ts'
export { Receiver, type ReceiveTarget } from './receive/receiver.ts'
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
