import { afterEach, describe, expect, it } from 'vitest'
import { fillSeeded } from '../../../src/devices/bulk/fill-seeded.ts'
import { placementRegisters } from '../../../src/devices/bulk/pattern.ts'
import { peerOf, PeerShare } from '../../../src/devices/bulk/peer-records.ts'
import { Placement, recordOffset } from '../../../src/devices/bulk/placement.ts'
import { createBulk, verifyBulkWorkload } from '../../../src/devices/index.ts'
import { DeviceState, VfioDevice, VfioError } from '../../../src/index.ts'
import { POLLIN } from '../../../src/uapi/index.ts'
import { contents, until } from '../../support/bulk-device.ts'

const { STOP, STOP_COPY, RESUMING, PRE_COPY, RUNNING } = DeviceState
const MEMORY_BYTES = 3_000_005
const PATTERNS = ['uniform', 'hot-set', 'sweep', 'burst'] as const
const opened: VfioDevice[] = []

afterEach(async () => {
  for (const device of opened.splice(0)) await device.close()
})

async function open(options: Partial<Parameters<typeof createBulk>[0]> = {}) {
  const bulk = createBulk({ memoryBytes: MEMORY_BYTES, ...options })
  const device = await VfioDevice.open(bulk)
  opened.push(device)
  return { bulk, device }
}

describe('verifyBulkWorkload', () => {
  it.each(PATTERNS)('%s: finds what the device wrote, and each kind of difference', async (pattern) => {
    const workload = { pagesPerSecond: 300_000, pattern, seed: 5, burstMs: 20, burstPeriodMs: 40 }
    const { bulk, device } = await open({ seed: 3, workload, reservedBytes: 9000 })
    await until(() => bulk.sequence > 20_000n)
    await device.setState(STOP)
    const { sequence } = bulk
    const expectation = { seed: 3, workload, reservedBytes: 9000, sequence }
    expect(await verifyBulkWorkload(bulk.memory, expectation)).toEqual({ matches: true })
    const bytes = contents(bulk)
    expect(await verifyBulkWorkload(bytes, expectation)).toEqual({ matches: true })

    const registers = placementRegisters(workload)
    const last = recordOffset(MEMORY_BYTES - (MEMORY_BYTES % 4096) - 8192, registers, sequence - 1n)
    expect(await verifyBulkWorkload(bytes, { ...expectation, sequence: sequence + 1n })).toMatchObject({
      matches: false,
      sequence,
    })
    expect(await verifyBulkWorkload(bytes, { ...expectation, sequence: sequence - 1n })).toMatchObject({
      matches: false,
    })
    for (const changed of [last + 15, MEMORY_BYTES - 1, MEMORY_BYTES - 8000]) {
      const copy = Buffer.from(bytes)
      copy[changed]! ^= 1
      const verdict = await verifyBulkWorkload(copy, expectation)
      expect(verdict).toMatchObject({
        matches: false,
        offset: changed,
        sequence: changed === last + 15 ? sequence - 1n : undefined,
      })
      const except = [{ offset: changed - 2, byteLength: 3 }]
      expect(await verifyBulkWorkload(copy, { ...expectation, except })).toEqual({ matches: true })
    }
    for (const wrong of [{ seed: 4 }, { workload: { ...workload, seed: 6 } }])
      expect((await verifyBulkWorkload(bytes, { ...expectation, ...wrong })).matches).toBe(false)
  })

  it.each(PATTERNS)(
    '%s: agrees at the destination of a live migration, once it has gone on',
    async (pattern) => {
      const workload = { pagesPerSecond: 20_000, pattern, burstMs: 5, burstPeriodMs: 10 }
      const source = await open({ seed: 3, workload })
      const destination = await open()
      await until(() => source.bulk.sequence > 1000n)
      const saving = (await source.device.setState(PRE_COPY))!
      const resuming = (await destination.device.setState(RESUMING))!
      const piece = new Uint8Array(1 << 20)
      for (let rounds = 0; rounds < 5;) {
        try {
          resuming.write(piece.subarray(0, saving.read(piece)))
        } catch (error) {
          if (!VfioError.is(error, 'ENOMSG')) throw error
          rounds++
          await saving.ready(POLLIN)
        }
      }
      await source.device.setState(STOP_COPY)
      for (let n; (n = saving.read(piece)) > 0;) resuming.write(piece.subarray(0, n))
      await destination.device.setState(RUNNING)
      const { sequence } = source.bulk
      await until(() => destination.bulk.sequence > sequence + 1000n)
      await destination.device.setState(STOP)
      const { bulk } = destination
      expect(
        await verifyBulkWorkload(bulk.memory, { seed: 3, workload: bulk.workload, sequence: bulk.sequence }),
      ).toEqual({ matches: true })
      expect(await verifyBulkWorkload(source.bulk.memory, { seed: 3, workload, sequence })).toEqual({
        matches: true,
      })
    },
  )

  it('knows what peers wrote into the reserved pages', async () => {
    const reservedPages = 2
    const memory = new Uint8Array(8 * 4096)
    await fillSeeded(memory, 9)
    const view = new DataView(memory.buffer)
    const workload = new Placement(6 * 4096, placementRegisters({}))
    for (let low = 0; low < 100; low++) workload.store(view, 0, low)
    const devices = [{ p2pSequence: 700n, seed: 11 }, { p2pSequence: 5n }, { p2pSequence: 900n, seed: 13n }]
    for (const [sender, { p2pSequence, seed = 1 }] of devices.entries()) {
      const share = new PeerShare(
        { byteLength: memory.length, reservedPages },
        { devices: 3, sender },
        BigInt(seed),
      )
      for (let low = 0; low < Number(p2pSequence); low++)
        if (sender !== 1 && peerOf(sender, 3, 0, low) === 1) share.store(view, 0, low)
    }
    const expectation = { seed: 9, sequence: 100n, reservedBytes: reservedPages * 4096 }
    expect(await verifyBulkWorkload(memory, { ...expectation, p2p: { index: 1, devices } })).toEqual({
      matches: true,
    })
    expect((await verifyBulkWorkload(memory, expectation)).matches).toBe(false)
    const fewer = [{ ...devices[0]!, p2pSequence: 60n }, ...devices.slice(1)]
    const verdict = await verifyBulkWorkload(memory, { ...expectation, p2p: { index: 1, devices: fewer } })
    expect(verdict.matches).toBe(false)
  })

  it.each([
    { sequence: -1n },
    { sequence: 2n ** 32n },
    { sequence: 0n, reservedBytes: 17 },
    { sequence: 0n, seed: 0.5 },
    { sequence: 0n, workload: { hotFraction: 0 } },
  ])('%o is EINVAL', async (expectation) => {
    await expect(verifyBulkWorkload(new Uint8Array(16), expectation)).rejects.toMatchObject({
      code: 'EINVAL',
    })
  })

  it.each([0, 1, 15, 17])('a memory of %i bytes is looked at as a whole', async (memoryBytes) => {
    const memory = new Uint8Array(memoryBytes)
    const expectation = { sequence: memoryBytes < 16 ? 5n : 0n }
    expect(await verifyBulkWorkload(memory, expectation)).toEqual({ matches: true })
    if (memoryBytes === 0) return
    memory[memoryBytes - 1] = 1
    expect(await verifyBulkWorkload(memory, expectation)).toMatchObject({
      matches: false,
      offset: memoryBytes - 1,
    })
  })
})
