/** Ends in a page and in Workers of it; a test drives them by `callEnd`. */

import { hostEnds } from './ends.mjs'
import { links } from './links.mjs'

const callHere = hostEnds(links)
/** Workers by the name of their place, from the first call on. */
const workers = new Map()
/** The second port of a MessageChannel, by the name that both ends give; whoever connects first gets the other. */
const ports = new Map()

globalThis.callEnd = async (place, name, command, words) => {
  if (place === 'page') return callHere(name, command, words)
  if (!workers.has(place)) workers.set(place, startWorker())
  const { call } = await workers.get(place)
  return call(name, command, words)
}

globalThis.endWorker = async (place) => {
  const { worker } = await workers.get(place)
  workers.delete(place)
  worker.terminate()
}

async function startWorker() {
  const worker = new Worker(new URL('./worker.mjs', import.meta.url), { type: 'module' })
  const waiting = new Map()
  const up = new Promise((resolve) => waiting.set('up', { resolve }))
  worker.addEventListener('message', ({ data: [id, result, error] }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) resolve(result)
    else reject(new Error(error))
  })
  await up
  let calls = 0
  const call = (name, command, words) =>
    new Promise((resolve, reject) => {
      const id = ++calls
      waiting.set(id, { resolve, reject })
      worker.postMessage([id, name, command, words], command === 'connect' ? [portOf(words.name)] : [])
    })
  return { worker, call }
}

function portOf(name) {
  const second = ports.get(name)
  ports.delete(name)
  if (second !== undefined) return second
  const { port1, port2 } = new MessageChannel()
  ports.set(name, port2)
  return port1
}

globalThis.isReady = true
