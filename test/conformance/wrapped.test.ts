import { describe, it } from 'vitest'
import { type Driver, defineDevice, u32, VfioDevice, wrapMemory } from '../../src/index.ts'
import { conformance } from '../../src/testing/index.ts'
import { OwnedMemory } from '../support/foreign-memory.ts'

const BYTES = 200_001

/** An emulator that writes to its memory on a clock of its own. */
function emulator(inPlace: boolean, stable: boolean): Driver {
  const owner = new OwnedMemory(65_536 + BYTES)
  const ram = wrapMemory(owner.memory, {
    byteOffset: 65_536,
    byteLength: BYTES,
    stable,
    ...(inPlace && { allocate: owner.allocate }),
  })
  let timer: ReturnType<typeof setInterval> | undefined
  return defineDevice({
    type: 'emulator',
    version: 1,
    state: { ticks: u32({ default: 7 }) },
    memory: { ram },
    reset({ memory }) {
      memory.ram.bytes.fill(9, 0, 10_000)
    },
    resume({ state, memory }) {
      timer = setInterval(() => {
        memory.ram.bytes[(++state.ticks * 40_503) % BYTES] = state.ticks
      }, 1)
    },
    quiesce: () => clearInterval(timer),
  })
}

for (const inPlace of [true, false])
  for (const stable of [true, false])
    describe(`wrapped memory, ${inPlace ? 'in place' : 'staged'}, ${stable ? 'stable' : 'copied'}`, () => {
      const options = { driver: (): Driver => emulator(inPlace, stable), watchMs: 2 }
      for (const test of conformance(() => VfioDevice.open(options.driver()), options))
        it(`${test.name}: ${test.rule}`, () => test.run())
    })
