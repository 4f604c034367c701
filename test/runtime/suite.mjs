/** The suite that runs in every runtime, from the installed package and by its public names alone. */

import { VfioDevice } from 'stopcopy'
import { BulkRegister, createBulk, createMtty } from 'stopcopy/devices'
import { conformance, missingNeeds } from 'stopcopy/testing'
import { engineCases } from './engine-cases.mjs'
import { expectSame } from './expect.mjs'
import { featuresWithout, hostFeatures } from './host.mjs'
import { roundTripCases } from './round-trip-cases.mjs'

const DEVICES = [
  { title: 'mtty', driver: () => createMtty(), scratch: { index: 0, offset: 7 } },
  {
    title: 'bulk',
    driver: () => createBulk({ memoryBytes: 9001, seed: 1, workload: { pagesPerSecond: 20_000 } }),
    scratch: { index: 0, offset: BulkRegister.RATE },
  },
]

/**
 * Runs all cases.
 *
 * @param missing - the feature of host.mjs that was switched off, '' for none
 * @param createWorker - of `stopcopy/node` or `stopcopy/web`
 * @param more - cases of one runtime alone
 * @returns how many cases passed, and a line for each that did not
 */
export async function runSuite(missing, createWorker, more = []) {
  const started = performance.now()
  const features = hostFeatures()
  const cases = [
    {
      name: 'the host lacks what was switched off, and nothing else',
      run: async () => expectSame(features.join(), featuresWithout(missing).join()),
    },
    ...(await conformanceCases()),
    ...roundTripCases,
    ...engineCases(features, createWorker),
    ...more,
  ]
  const failures = []
  for (const { name, run } of cases)
    await run().catch((error) => failures.push(`${name}: ${error?.message ?? error}`))
  return { passed: cases.length - failures.length, failures, ms: Math.round(performance.now() - started) }
}

/** The conformance suite over our devices, less the cases for which one lacks what they need. */
async function conformanceCases() {
  const cases = []
  for (const { title, driver, scratch } of DEVICES) {
    const create = () => VfioDevice.open(driver())
    const device = await create()
    for (const test of conformance(create, { driver, scratch, watchMs: 2 }))
      if ((await missingNeeds(test, device)).length === 0)
        cases.push({ name: `${title}: ${test.name}`, run: () => test.run() })
    await device.close()
  }
  return cases
}
