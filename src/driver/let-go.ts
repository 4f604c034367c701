/**
 * The end of work that a worker may have begun.
 *
 * @module
 */

import type { EngineJobs, PostedJob } from '../engine/index.ts'

/** Cancels jobs and calls `release`: at once, or when the worker let go of what it has begun. */
export function letGo(
  jobs: EngineJobs,
  posted: readonly PostedJob[],
  release: () => void,
): Promise<void> | undefined {
  for (const job of posted) job.cancel()
  const begun = posted.filter(({ settled }) => !settled)
  if (begun.length > 0) return Promise.all(begun.map((job) => jobs.settle(job))).then(release)
  release()
  return undefined
}
