/**
 * Looks at the memory of a device and of a process.
 *
 * @module
 */
import { rivals } from '../data/rivals.mjs'
import { MIB } from '../data/touched.mjs'

/** One MiB in eight is looked at. */
const STRIDE = 8 * MIB

/** A hash over pieces of a device's memory, to be compared with that of the other end. */
export function fingerprint(memory) {
  const pieces = []
  for (let at = 0; at < memory.byteLength; at += STRIDE) {
    const piece = Buffer.alloc(Math.min(MIB, memory.byteLength - at))
    memory.read(at, piece)
    pieces.push(rivals['@node-rs xxh64'].hash(piece))
  }
  return pieces.join()
}

/** The most memory this process ever had, in bytes. */
export function peakBytes() {
  return process.resourceUsage().maxRSS * 1024
}

/** Processor time of this process so far, all threads. */
export function cpuSeconds() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
