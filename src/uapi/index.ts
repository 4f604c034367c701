/**
 * `stopcopy/uapi`: numbers, structures and argument checks of `<linux/vfio.h>`, as pure functions.
 *
 * @module
 */

export * from './dma-logging.ts'
export * from './feature-checks.ts'
export * from './feature-message.ts'
export * from './feature-rules.ts'
export * from './features.ts'
export * from './kernel-names.ts'
export * from './poll.ts'
export * from './requests.ts'
export * from './state.ts'
export * from './structs/dma-logging-control.ts'
export * from './structs/dma-logging-range.ts'
export * from './structs/dma-logging-report.ts'
export * from './structs/feature-header.ts'
export * from './structs/feature-mig-data-size.ts'
export * from './structs/feature-mig-state.ts'
export * from './structs/feature-migration.ts'
export * from './structs/precopy-info.ts'
export * from './user-memory.ts'
export { Errno } from '../errors.ts'
export type { Field, FieldTable, FieldType, Struct } from './struct.ts'
