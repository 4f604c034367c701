/**
 * What runs in the Web Worker that `createWorker` starts.
 *
 * @module
 */

import { serveJobs } from '../engine/serve-jobs.ts'

const scope = globalThis as unknown as Worker
serveJobs({
  send: (message, transfer = []) => scope.postMessage(message, transfer),
  onMessage: (listener) => scope.addEventListener('message', ({ data }) => listener(data)),
})
