/** Ends in a Worker, driven by its page: `[id, name, command, words]` is answered by `[id, result, error]`. */

import { hostEnds } from './ends.mjs'
import { links } from './links.mjs'

const call = hostEnds(links)
globalThis.addEventListener('message', async ({ data: [id, name, command, words], ports: [port] }) => {
  try {
    postMessage([id, await call(name, command, port === undefined ? words : { ...words, port })])
  } catch (error) {
    postMessage([id, undefined, String(error?.stack ?? error)])
  }
})
// What came before this module ran waits in the Worker's own queue.
postMessage(['up'])
