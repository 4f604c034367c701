/**
 * Adapters to browsers.
 *
 * @module
 */

export { createWorker, type WorkerOptions } from './create-worker.ts'
