import type { EngineWorkerOptions } from '../../src/engine/index.ts'
import { EngineWorker } from '../../src/engine/index.ts'
import { createWorker } from '../../src/node/index.ts'

/** The worker's script as it is shipped: a thread cannot load TypeScript. */
export const WORKER_SCRIPT: URL = new URL('../../dist/node/engine-worker.js', import.meta.url)

/** A worker of the sources under test on the shipped script. */
export function createTestWorker(options: EngineWorkerOptions = {}): Promise<EngineWorker> {
  return createWorker({ ...options, script: WORKER_SCRIPT })
}
