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

async function verdict(create, index) {
  const test = suite(create)[index]
  const probe = await create()
  const missing = await missingNeeds(test, probe)
  await probe.close()
  if (missing.length > 0) return `not applicable: ${missing.join(', ')}`
  try {
    await test.run()
    return 'passes'
  } catch {
    return 'fails'
  }
}

export const conformance = {
  title: 'conformance suite',
  cases: NAMES.map(({ name, rule }, index) => ({
    name: `${name}: ${rule}`,
    devices: async (create) => verdict(create, index),
  })),
}
