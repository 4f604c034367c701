/**
 * `defineDevice` and the state schema.
 *
 * @module
 */

export type { Compression } from './compressed-frames.ts'
export { configurationFingerprint } from './configuration.ts'
export {
  type DefinedDevice,
  defineDevice,
  type DeviceContext,
  type DeviceDefinition,
} from './define-device.ts'
export type { MemoryDefinition } from './device-blueprint.ts'
export type { ForeignMemory } from './foreign-memory.ts'
export type { DeviceMemory } from './memory-region.ts'
export type { Tracking } from './page-record.ts'
export { wrapMemory, type WrapMemoryOptions } from './wrap-memory.ts'
export {
  array,
  type ArrayField,
  blob,
  type BlobField,
  bool,
  type Field,
  type FieldOptions,
  i16,
  i32,
  i64,
  i8,
  type LiveRing,
  type LiveState,
  nested,
  type NestedField,
  type NumberOptions,
  repeated,
  type RepeatedField,
  ring,
  type RingField,
  type ScalarField,
  type Schema,
  u16,
  u32,
  u64,
  u8,
} from './schema.ts'
