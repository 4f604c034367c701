/**
 * The engine room: WebAssembly, its memory and the kernels over it.
 *
 * @module
 */

export { crc32cOfBytes, xxh3OfBytes } from './checksum.ts'
export { crc32cCombine } from './crc32c-combine.ts'
export { DEFAULT_MEMORY_BYTES, MAX_MEMORY_BYTES, createEngine } from './create-engine.ts'
export type { EngineOptions } from './create-engine.ts'
export { defaultEngine } from './default-engine.ts'
export { CHECKSUM_CRC32C, CHECKSUM_XXH3, RUN_BYTES, XXH3_STATE_BYTES, ZERO_RUN_FLAG } from './engine.ts'
export type { Engine, EngineShare, EngineVariant, Kernels } from './engine.ts'
export { ForeignKernels } from './foreign-kernels.ts'
export type { KernelSpace, LinearMemory } from './foreign-kernels.ts'
export { EngineWorker } from './engine-worker.ts'
export type { EngineWorkerOptions } from './engine-worker.ts'
export type { ChecksumJob, EngineJobs, PostedJob } from './job.ts'
export type { WorkerThread } from './worker-messages.ts'
export { LAYOUT_CHECK_BYTES, LAYOUT_GROUP_BYTES, LAYOUT_OP_BYTES, LayoutCheckKind } from './layout-rows.ts'
export type { LayoutFault } from './layout-rows.ts'
