/**
 * The head of every VFIO_DEVICE_FEATURE buffer; the feature's own structure follows at once.
 *
 * ```text
 *  0         4         8
 *  | argsz   | flags   | data ...
 *              31    19 18    17   16   15          0
 *             | must be 0 | PROBE | SET | GET | index |
 * ```
 *
 * @module
 */

import { type Struct, defineStruct } from '../struct.ts'

/** `struct vfio_device_feature` without its data. */
export interface FeatureHeader {
  /** Bytes the caller declares, this header included; larger than needed is fine. */
  argsz: number
  /** Feature index and GET, SET, PROBE. */
  flags: number
}

/** `struct vfio_device_feature`: 8 bytes, data at 8. */
export const FeatureHeader: Struct<FeatureHeader> = defineStruct<FeatureHeader>('vfio_device_feature', {
  argsz: ['argsz', 'u32'],
  flags: ['flags', 'u32'],
})
