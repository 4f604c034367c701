/**
 * stopcopy's own conformance suite, run against the real kernel: does it say of Linux's mtty what it says of a
 * stopcopy mtty of profile exact?
 *
 * @module
 */
import { conformance as suite, missingNeeds } from 'stopcopy/testing'

/** A device that does nothing but list the cases. */
const NAMES = suite(() => {
  throw new Error('Cannot open a device: this one only lists the cases')
})

/** A case of a few dozen calls is done long before. */
const MOST_MS = 15_000

async function verdict(create, index) {
  const test = suite(create)[index]
  const probe = await create()
  const missing = await missingNeeds(test, probe)
  await probe.close()
  if (missing.length > 0) return `not applicable: ${missing.join(', ')}`
  let timer
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, MOST_MS, 'does not end')
  })
  const run = test.run().then(
    () => 'passes',
    () => 'fails',
  )
  const said = await Promise.race([run, late])
  clearTimeout(timer)
  return said
}

export const conformance = {
  title: 'conformance suite',
  cases: NAMES.map(({ name, rule }, index) => ({
    name: `${name}: ${rule}`,
    // Its fds stay readable for ever, and the suite wants them to tell that the session ended.
    ...(name.endsWith('ends the session') && { differs: { exact: 'conformance-poll' } }),
    devices: async (create) => verdict(create, index),
  })),
}
