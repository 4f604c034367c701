/** The suite in a page: `page.html?without=simd`, or `?check=forbidden` where a policy forbids WebAssembly. */

import { createEngine } from 'stopcopy'
import { createWorker } from 'stopcopy/web'
import { checkForbiddenWasm } from './engine-cases.mjs'
import { expectSame } from './expect.mjs'
import { runSuite } from './suite.mjs'

const { document, location } = globalThis
const query = new URLSearchParams(location.search)
const missing = query.get('without') ?? ''

async function checkForbidden() {
  await checkForbiddenWasm()
  return { passed: 1, failures: [], ms: 0 }
}

/** Bundlers have names of their own for the address of a file. */
const streaming = {
  name: 'engine.wasm is compiled while it is downloaded',
  run: async () => {
    const module = await WebAssembly.compileStreaming(fetch('./node_modules/stopcopy/dist/engine.wasm'))
    expectSame((await createEngine({ memoryBytes: 65536, module })).variant, 'simd')
  },
}
const isBundled = document.querySelector('script[type=importmap]') === null
const more = isBundled || missing === 'simd' || missing === 'wasm' ? [] : [streaming]

const run = query.get('check') === 'forbidden' ? checkForbidden() : runSuite(missing, createWorker, more)
run.then(
  (outcome) => (globalThis.outcome = outcome),
  (error) => (globalThis.outcome = { passed: 0, failures: [String(error?.stack ?? error)], ms: 0 }),
)
