/** The suite in a page: `page.html?without=simd`, or `?check=forbidden` where a policy forbids WebAssembly. */

import { createWorker } from 'stopcopy/web'
import { checkForbiddenWasm } from './engine-cases.mjs'
import { runSuite } from './suite.mjs'

const query = new URLSearchParams(globalThis.location.search)

async function checkForbidden() {
  await checkForbiddenWasm()
  return { passed: 1, failures: [], ms: 0 }
}

const run =
  query.get('check') === 'forbidden' ? checkForbidden() : runSuite(query.get('without') ?? '', createWorker)
run.then(
  (outcome) => (globalThis.outcome = outcome),
  (error) => (globalThis.outcome = { passed: 0, failures: [String(error?.stack ?? error)], ms: 0 }),
)
