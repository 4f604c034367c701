/**
 * What runs on the thread that `createWorker` starts.
 *
 * @module
 */

import { parentPort, type MessagePort } from 'node:worker_threads'
import { serveJobs } from '../engine/serve-jobs.ts'

const port = parentPort as MessagePort
serveJobs({
  send: (message, transfer = []) => port.postMessage(message, transfer),
  onMessage: (listener) => port.on('message', listener),
})
