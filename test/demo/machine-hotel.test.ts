/** The Node process of the demo when a machine fails in it: nothing is left behind, and it goes on. */

import { type Driver, migrate, VfioDevice } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'
import { connect } from 'stopcopy/node'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openHotel } from '../../demo/node/machine-hotel.ts'
import createDevice from '../../demo/node/machine.ts'

vi.mock('../../demo/node/machine.ts', () => ({ default: vi.fn() }))

/** Sends an mtty to a hotel whose machine has that driver; so many lines that it says, when it destroyed it. */
async function refused(driver: Driver, lines: number): Promise<readonly string[]> {
  const destroy = vi.fn(() => Promise.resolve())
  const made = { name: 'Box', driver, describe: () => 'tick 0', destroy, machine: undefined }
  vi.mocked(createDevice).mockResolvedValue(made as unknown as Awaited<ReturnType<typeof createDevice>>)
  const said: string[] = []
  const hotel = await openHotel({ port: 0, origins: [], say: (line) => said.push(line) })
  onTestFinished(() => hotel.close())
  const source = await VfioDevice.open(createMtty())
  onTestFinished(() => source.close())
  await expect(migrate(source, await connect(hotel.takeUrl))).rejects.toThrow(/the destination refused/)
  await expect.poll(() => [said.length, destroy.mock.calls.length], { timeout: 60_000 }).toEqual([lines, 1])
  expect(hotel.guests).toHaveLength(0)
  return said
}

const { identity } = createMtty({ ports: 2 })

function stuck(): never {
  throw new Error('stuck')
}

describe('the Node process of the demo', () => {
  it('destroys a machine whose driver cannot be opened', async () => {
    const said = await refused({ identity, flags: 1 } as Driver, 1)
    expect(said).toEqual([expect.stringMatching(/^refused: [^]*Cannot open the driver/)])
  })

  it('destroys a machine that is refused, though its close() fails', async () => {
    const driver = { identity, flags: 1, transition: () => {}, stopCopyLength: () => 0, reset: () => {} }
    const said = await refused({ ...driver, close: stuck }, 2)
    expect(said).toEqual([expect.stringMatching(/^refused: /), expect.stringMatching(/^cannot close Box: /)])
  })
})
