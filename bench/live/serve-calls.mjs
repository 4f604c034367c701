/**
 * The other side of a `Peer`: answers its calls, and ends with it.
 *
 * @module
 */
import { isMainThread, parentPort } from 'node:worker_threads'

/**
 * Answers each call with what the function of that name returns.
 *
 * @param {Record<string, (argument: any) => unknown>} calls
 */
export function serveCalls(calls) {
  const send = isMainThread
    ? (message) => process.send(message)
    : // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a port, no window
      (message) => parentPort.postMessage(message)
  const serve = async ({ id, name, argument }) => {
    try {
      send({ id, result: await calls[name](argument) })
    } catch (error) {
      send({ id, failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
    }
  }
  if (!isMainThread) {
    parentPort.on('message', serve)
    return
  }
  process.on('message', serve)
  // However the parent ended.
  process.on('disconnect', () => process.exit())
}
