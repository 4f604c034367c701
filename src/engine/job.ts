/**
 * Jobs: kernel calls that another thread may run, and what their poster sees of them.
 *
 * There is one kind, the work of both ends of a migration: the checksum of a section's payload, on its way
 * through a copy or in place.
 *
 * @module
 */

import type { VfioError } from '../errors.ts'
import type { Kernels } from './engine.ts'

/** A checksum to compute, with an optional copy in the same pass. Pointers are into the engine's memory. */
export interface ChecksumJob {
  /** Which checksum. */
  readonly kind: 'xxh3' | 'crc32c'
  /** Pointer to the bytes. */
  readonly src: number
  /** How many they are. */
  readonly byteLength: number
  /** Where the bytes are copied to, apart from where they are; 0 for nowhere. The checksum is that of what was stored. */
  readonly copyTo: number
  /** Where the 8 bytes of the checksum go; a CRC-32C is widened with zeros. */
  readonly out: number
  /** True for work at the end of a pipeline, which goes before work at its beginning. */
  readonly urgent?: boolean
}

/** A job given to a worker. Until it is settled, the memory it names belongs to it. */
export interface PostedJob {
  /** True when it was done, failed or was canceled: no thread works on it any more. */
  readonly settled: boolean
  /** Why it was not done: EIO when the worker is gone. */
  readonly failure: VfioError | undefined
  /** Takes the job back if nobody has begun it; otherwise it goes on until it is settled. */
  cancel(): void
}

/** The jobs of one engine on one worker. */
export interface EngineJobs {
  /** Posts a job; undefined when all places are taken, or the job is longer than the worker takes. */
  post(job: ChecksumJob): PostedJob | undefined
  /**
   * Resolves when the job is settled. Until then this thread works too, on jobs that nobody has begun, one
   * between two turns of its microtasks: who waits here has nothing better to do.
   */
  settle(job: PostedJob): Promise<void>
  /** The engine is not used any more; all its jobs must have been settled. */
  detach(): void
}

/** Runs a job; EFAULT and EINVAL as the kernels throw them. */
export function runJob(kernels: Kernels, view: DataView, job: Omit<ChecksumJob, 'urgent'>): void {
  const { kind, src, byteLength, copyTo, out } = job
  if (kind === 'xxh3') {
    if (copyTo === 0) kernels.xxh3(src, byteLength, out)
    else kernels.copyXxh3(copyTo, src, byteLength, out)
    return
  }
  const crc = copyTo === 0 ? kernels.crc32c(src, byteLength) : kernels.copyCrc32c(copyTo, src, byteLength)
  view.setUint32(out, crc, true)
  view.setUint32(out + 4, 0, true)
}
