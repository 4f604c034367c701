/**
 * stopcopy: the VFIO device migration protocol v2 for JavaScript.
 *
 * @module
 */

export type { CreateDevice, DeviceExtras, DeviceOffer, MadeDevice } from './device/device-module.ts'
export { DirtyLog } from './device/dirty-log.ts'
export type {
  ConfigurationValue,
  DeviceIdentity,
  DeviceRegions,
  DirtyLogOps,
  DmaRange,
  Driver,
} from './device/driver.ts'
export { FdTable } from './device/fd-table.ts'
export type { MigrationDevice } from './device/migration-device.ts'
export { VfioDevice } from './device/vfio-device.ts'
export * from './driver/index.ts'
export {
  type ChecksumJob,
  createEngine,
  type Engine,
  type EngineJobs,
  type EngineOptions,
  type EngineShare,
  type EngineVariant,
  type EngineWorker,
  type EngineWorkerOptions,
  type Kernels,
  type KernelSpace,
  type LayoutFault,
  type PostedJob,
  type LinearMemory,
} from './engine/index.ts'
export { type Awaitable, Errno, type ErrnoName, VfioError, type VfioErrorOptions } from './errors.ts'
export type { ChecksumKind, Configuration, StreamHeader } from './format/index.ts'
export { type Arc, arcs, nextState, transitionPath } from './fsm/index.ts'
export {
  type ConvergenceOptions,
  type GuestMemoryDestination,
  type GuestMemoryRange,
  type GuestMemorySource,
  type HandoverOutcome,
  type HandoverTicket,
  type HandoverVerdict,
  type Hello,
  inspect,
  type IterationReport,
  LISTED_SECTIONS,
  migrate,
  type MigrateDestination,
  type MigrateEvent,
  type MigrateOptions,
  type MigratePhase,
  type MigrateProgress,
  type MigrateReport,
  MigrationError,
  type Owner,
  type Prelude,
  readPrelude,
  receive,
  type ReceiveOptions,
  type ReceivePhase,
  type ReceiveProgress,
  type ReceiveReport,
  Receiver,
  type ReceiveTarget,
  type RegionReport,
  resolveHandover,
  type ResolveOptions,
  restore,
  type RestoreOptions,
  type RestoreReport,
  save,
  type SaveOptions,
  type SaveReport,
  type SectionReport,
  type StreamOffer,
  type StreamReport,
  type SurveyOptions,
  type SwitchoverReason,
  type TagReport,
  type TransferReport,
  verify,
} from './migrate/index.ts'
export { DataSession } from './session/data-session.ts'
export { STREAM_CHUNK_BYTES, STREAM_HELD_BYTES } from './session/web-streams.ts'
export type { MigrationSession } from './session/migration-session.ts'
export type {
  Absorbed,
  PendingRead,
  PrecopyInfo,
  ResumeEnd,
  SaveEnd,
  SessionEnd,
  SessionWorker,
} from './session/session-end.ts'
export {
  type ByteDuplex,
  type ByteSink,
  type ByteSource,
  type DuplexLike,
  type ByteWindows,
  MEMORY_PAIR_BYTES,
  memoryPair,
  type SinkLike,
  type SourceLike,
  type TransferProgress,
} from './transport/index.ts'
export { DeviceState, MigrationFlag } from './uapi/state.ts'
