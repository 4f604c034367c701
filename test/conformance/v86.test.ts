/** The PC of the demo. It uses the package's public names, so these tests need a build. */

import { afterAll, describe, it } from 'vitest'
import { VfioDevice } from 'stopcopy'
import { conformance } from 'stopcopy/testing'
import { createV86Machine, type V86Machine } from '../../demo/devices/v86/index.ts'
import { V86_WASM } from '../support/v86-machine.ts'

const machines: V86Machine[] = []
/** Machines whose device is closed: one takes a third of a second to make. */
const free: V86Machine[] = []
afterAll(async () => {
  await Promise.all(machines.map((machine) => machine.destroy()))
})

async function newMachine(): Promise<V86Machine> {
  const made = await createV86Machine({ wasm: V86_WASM, memoryBytes: 1 << 20 })
  machines.push(made)
  const { driver } = made
  const close = driver.close?.bind(driver)
  driver.close = async () => {
    await close?.()
    free.push(made)
  }
  return made
}

async function create(): Promise<VfioDevice> {
  return VfioDevice.open((free.pop() ?? (await newMachine())).driver)
}

describe('v86, running our guest', () => {
  for (const test of conformance(create, { watchMs: 2 }))
    if (!test.needs.includes('driver')) it(`${test.name}: ${test.rule}`, () => test.run())
})
