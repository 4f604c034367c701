import { describe, expect, it } from 'vitest'
import type { Driver } from '../../../src/device/driver.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/mtty/mtty.ts'
import { transitionPath } from '../../../src/fsm/transition.ts'
import { expectedWalk } from '../../../src/testing/expected-transitions.ts'
import { conformance, missingNeeds } from '../../../src/testing/index.ts'
import type { ConformanceOptions } from '../../../src/testing/index.ts'
import { VfioError } from '../../../src/errors.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import type { Mutant } from '../../support/broken-devices.ts'
import { MUTANTS } from '../../support/broken-devices.ts'
import { errnoOf } from '../../support/mtty-device.ts'
import { FLAG_SETS, PACKED_NEXT_STATES } from '../../support/migration-oracle.ts'

const SCRATCH = { index: 0, offset: 7 }

function openMttyDevice(): Promise<VfioDevice> {
  return VfioDevice.open(createMtty())
}

function refuseToOpen(): never {
  throw new VfioError('ENOMEM', 'Cannot open: no memory, free some')
}

/** An mtty with fewer capabilities. */
function limitedMtty(flags: number): Driver {
  const mtty = createMtty()
  return {
    flags,
    identity: mtty.identity,
    transition: (from, to) => mtty.transition(from, to, { signal: new AbortController().signal }),
    stopCopyLength: () => mtty.stopCopyLength(),
    reset: () => mtty.reset(),
  }
}

/** Names and messages of the cases that fail on a broken device. */
async function failuresOf({ create, driver }: Mutant): Promise<Map<string, string>> {
  const options: ConformanceOptions = { scratch: SCRATCH, watchMs: 5, ...(driver && { driver }) }
  const failures = new Map<string, string>()
  for (const test of conformance(create, options)) {
    if ((await missingNeeds(test, await create())).length > 0) continue
    await test.run().catch((error: unknown) => failures.set(test.name, (error as Error).message))
  }
  return failures
}

describe('conformance()', () => {
  it('names every case once, with a rule', () => {
    const cases = conformance(openMttyDevice)
    expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length)
    expect(cases.length).toBeGreaterThan(120)
    expect(cases.filter(({ rule }) => rule.length < 10)).toEqual([])
  })

  describe.each(FLAG_SETS)('a device with flags %i', (flags) => {
    const driver = (): Driver => limitedMtty(flags)

    it('passes every case whose needs it meets', async () => {
      const passed: string[] = []
      for (const test of conformance(() => VfioDevice.open(driver()), { driver, watchMs: 1 })) {
        if ((await missingNeeds(test, await VfioDevice.open(driver()))).length > 0) continue
        await test.run()
        passed.push(test.name)
      }
      expect(passed).toContain('setState from RUNNING to STOP_COPY')
      expect(passed).toContain('a failure at any arc of any walk')
      expect(passed.includes('setState from PRE_COPY to STOP_COPY')).toBe((flags & 4) !== 0)
      expect(passed.includes('setState from RUNNING_P2P to STOP')).toBe((flags & 2) !== 0)
    })

    it('is measured by the tables of facts A.3, and the fsm room agrees', async () => {
      for (const from of Object.values(DeviceState)) {
        for (const to of Object.values(DeviceState)) {
          const walk = expectedWalk(flags, from, to)
          const path = await errnoOf(() => transitionPath(from, to, flags))
          expect(walk === undefined ? 'EINVAL' : walk.map((arc) => arc.to)).toEqual(path)
          const digit = PACKED_NEXT_STATES[flags].split(' ')[from]?.[to]
          expect(from === to ? walk?.length : walk?.[0]?.to).toBe(
            digit === '0' ? undefined : from === to ? 0 : Number(digit),
          )
        }
      }
    })
  })

  describe.each(MUTANTS)('a device that $breaks', (mutant) => {
    it(`fails "${mutant.noticedBy}"`, async () => {
      const failures = await failuresOf(mutant)
      expect([...failures.keys()]).toContain(mutant.noticedBy)
    })
  })

  it('a failing case says its name, what was done, what was expected, what came back and the rule', async () => {
    const mutant = MUTANTS.find(({ breaks }) => breaks === 'accepts a truncated stream')
    if (mutant === undefined) throw new Error('no such mutant')
    const failures = await failuresOf(mutant)
    expect(failures.get('a truncated stream is refused')).toBe(
      'a truncated stream is refused: setState(STOP) on 0 of 60 bytes: expected an errno, got success. ' +
        'Rule: leaving RESUMING on missing bytes fails, the state is RESUMING or ERROR, and a reset recovers',
    )
  })

  it('an error that no rule expects is told with its errno', async () => {
    const [first] = conformance(refuseToOpen)
    await expect(first?.run()).rejects.toThrow(
      /unexpected ENOMEM \(Cannot open: no memory, free some\)\. Rule: /,
    )
  })
})

describe('missingNeeds()', () => {
  const needs = ['pre-copy', 'p2p', 'regions', 'ioctl', 'dma-logging', 'checked-stream', 'driver'] as const

  it('lists what a plain device lacks', async () => {
    const device = await VfioDevice.open(limitedMtty(1))
    expect(await missingNeeds({ needs }, device)).toEqual(needs.filter((need) => need !== 'ioctl'))
  })

  it('lists what an mtty lacks', async () => {
    const device = await VfioDevice.open(createMtty())
    expect(await missingNeeds({ needs }, device)).toEqual(['checked-stream', 'driver'])
  })

  it('with a driver, no case needs one', () => {
    const withDriver = conformance(openMttyDevice, { driver: () => createMtty() })
    expect(withDriver.flatMap((test) => test.needs)).not.toContain('driver')
    expect(conformance(openMttyDevice).flatMap((test) => test.needs)).toContain('driver')
  })
})
