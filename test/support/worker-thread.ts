import type { Worker } from 'node:worker_threads'
import type { WorkerThread } from '../../src/engine/index.ts'

/** A thread that the test holds in its own hands, to end it when it likes. */
export function threadOf(thread: Worker): WorkerThread {
  return {
    send: (message, transfer = []) => thread.postMessage(message, transfer),
    onMessage: (listener) => thread.on('message', listener),
    onExit: (listener) => thread.once('exit', () => listener(undefined)),
    terminate: async () => {
      await thread.terminate()
    },
  }
}
