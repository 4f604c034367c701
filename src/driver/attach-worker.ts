/**
 * What a session is given as a worker, and what a driver makes of it.
 *
 * @module
 */

import type { Engine, EngineJobs, EngineWorker } from '../engine/index.ts'
import { VfioError } from '../errors.ts'
import type { SessionWorker } from '../session/session-end.ts'

/**
 * The worker's jobs for an engine; undefined when it can do nothing for it: it is no engine worker, the
 * engine has no room for its scratch, or its thread cannot run the engine's kernels.
 *
 * @throws {@link VfioError} EBADF closed, EIO when its thread ended
 */
export async function attachWorker(worker: SessionWorker, engine: Engine): Promise<EngineJobs | undefined> {
  if (!isEngineWorker(worker)) return undefined
  try {
    return await worker.attach(engine)
  } catch (error) {
    if (VfioError.is(error, 'ENOMEM') || VfioError.is(error, 'EOPNOTSUPP')) return undefined
    throw error
  }
}

/** By shape: the worker may come from another copy of the package. */
function isEngineWorker(worker: SessionWorker): worker is EngineWorker {
  return typeof (worker as Partial<EngineWorker>).attach === 'function'
}
