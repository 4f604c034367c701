import { Worker } from 'node:worker_threads'
import { EngineWorker, type WorkerThread } from '../../src/engine/index.ts'
import { WORKER_SCRIPT } from './engine-worker.ts'

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

/** A worker that begins one job and never ends it. */
export async function holdingWorker(): Promise<{
  dying: EngineWorker
  holds: Promise<unknown>
  end: () => Promise<number>
}> {
  const code = `
    const { parentPort } = require('node:worker_threads')
    import(${JSON.stringify(new URL('../engine/job-ring.js', WORKER_SCRIPT).href)}).then(({ JobRing }) => {
      let ring
      let holds = false
      parentPort.on('message', ({ type, id, run, ring: buffer }) => {
        if (type === 'ring') ring = new JobRing(buffer)
        else if (type === 'attach') parentPort.postMessage({ type: 'attached', id })
        else if (type === 'run' && !holds && ring.takeInRun(run) >= 0) {
          holds = true
          parentPort.postMessage({ type: 'ping' })
        }
      })
      parentPort.postMessage({ type: 'ready' })
    })`
  const thread = new Worker(code, { eval: true })
  const holds = new Promise((resolve) => {
    thread.on('message', ({ type }: { type: string }) => {
      if (type === 'ping') resolve(undefined)
    })
  })
  const dying = await EngineWorker.start(threadOf(thread))
  return { dying, holds, end: () => thread.terminate() }
}

/** A worker that hears nothing once an engine is attached: jobs that are sent to it never begin. */
export async function deafWorker(): Promise<{ dying: EngineWorker; end: () => Promise<number> }> {
  const thread = new Worker(WORKER_SCRIPT)
  const heard = threadOf(thread)
  const send: typeof heard.send = (message, transfer) => {
    if ((message as { type: string }).type !== 'checksum') heard.send(message, transfer)
  }
  return { dying: await EngineWorker.start({ ...heard, send }), end: () => thread.terminate() }
}
