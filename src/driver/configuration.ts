/**
 * A device's configuration and its fingerprint, for drivers that are written by hand.
 *
 * @module
 */

export { configurationFingerprint, encodeConfiguration } from '../format/configuration.ts'
