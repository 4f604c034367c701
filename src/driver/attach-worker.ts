/**
 * What a session is given as a worker, and what a driver makes of it.
 *
 * @module
 */

import type { Engine, EngineJobs, EngineWorker } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import type { SessionWorker } from '../session/session-end.ts'

/**
 * Attaches an engine to the worker and gives its jobs to `use`, if it can do something for it: it is an engine
 * worker, the engine has room for its scratch and what `use` takes, its thread can run the engine's kernels,
 * and the session is still `usable` by then.
 *
 * @throws {@link VfioError} EBADF closed, EIO when its thread ended
 */
export async function attachWorker(
  worker: SessionWorker,
  engine: Engine,
  usable: () => boolean,
  use: (jobs: EngineJobs) => void,
): Promise<void> {
  if (!isEngineWorker(worker)) return
  let jobs: EngineJobs | undefined
  try {
    jobs = await worker.attach(engine)
    if (usable()) use(jobs)
    else jobs.detach()
  } catch (error) {
    jobs?.detach()
    if (!VfioError.is(error, 'ENOMEM') && !VfioError.is(error, 'EOPNOTSUPP')) throw error
  }
}

/** By shape: the worker may come from another copy of the package. */
function isEngineWorker(worker: SessionWorker): worker is EngineWorker {
  return typeof (worker as Partial<EngineWorker>).attach === 'function'
}
