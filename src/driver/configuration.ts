/**
 * The fingerprint of a device's configuration, for drivers that are written by hand.
 *
 * @module
 */

export { configurationFingerprint } from '../format/index.ts'
