import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../src/device/vfio-device.ts'
import { createMtty } from '../../src/devices/mtty/mtty.ts'
import type { MttyOptions } from '../../src/devices/mtty/mtty.ts'
import { conformance, missingNeeds } from '../../src/testing/index.ts'
import type { ConformanceCase } from '../../src/testing/index.ts'
import { playRecordedScenario } from '../support/mtty-device.ts'

function casesOf(options: MttyOptions): ConformanceCase[] {
  const create = async (): Promise<VfioDevice> => {
    const device = await VfioDevice.open(createMtty(options))
    playRecordedScenario(device)
    return device
  }
  return conformance(create, {
    driver: () => createMtty(options),
    scratch: { index: 0, offset: 7 },
    watchMs: 2,
  })
}

/** What an opaque stream without checksum cannot do. */
const NOT_FOR_MTTY = ['damage anywhere in a checked stream is refused']

for (const ports of [1, 2] as const) {
  describe(`mtty, ${ports} port(s), strict`, () => {
    for (const test of casesOf({ ports }).filter(({ name }) => !NOT_FOR_MTTY.includes(name))) {
      it(`${test.name}: ${test.rule}`, async () => {
        expect(await missingNeeds(test, await VfioDevice.open(createMtty({ ports })))).toEqual([])
        await test.run()
      })
    }
  })
}

describe('mtty, exact', () => {
  it('fails exactly where the Linux driver departs from the UAPI text', async () => {
    const failed: string[] = []
    for (const test of casesOf({ profile: 'exact' }).filter(({ name }) => !NOT_FOR_MTTY.includes(name))) {
      await test.run().catch(() => failed.push(test.name))
    }
    expect(failed).toEqual([
      'DMA logging starts once, reports while started and only ever sets bits',
      'the temporary end of PRE_COPY is no end',
      'a damaged header is refused, and stays refused',
    ])
  })
})
