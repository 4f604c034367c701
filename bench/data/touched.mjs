/**
 * Memory that was written before anything is measured: the first touch of a page costs ten copies of it.
 *
 * @module
 */
import { randomFillSync } from 'node:crypto'

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB

/** 1 MiB of noise, repeated where more is asked: no page of it is zero. */
const noise = randomFillSync(Buffer.alloc(MIB))

/** Writes noise over all of `bytes` and returns it. */
export function touch(bytes) {
  for (let at = 0; at < bytes.length; at += MIB)
    bytes.set(noise.subarray(0, Math.min(MIB, bytes.length - at)), at)
  return bytes
}

/** A Buffer of noise. */
export function touchedBuffer(byteLength) {
  // Not Buffer.from: it would come from the pool, at an odd address.
  return touch(Buffer.from(new ArrayBuffer(byteLength)))
}

/** Bytes in words: "64 KiB", "1 GiB". */
export function formatBytes(byteLength) {
  if (byteLength >= GIB) return `${byteLength / GIB} GiB`
  return byteLength >= MIB ? `${byteLength / MIB} MiB` : `${byteLength / KIB} KiB`
}
