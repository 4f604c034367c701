/**
 * Access to regions, and PCI configuration space.
 *
 * @module
 */

import { VfioUserCommand } from '../command.ts'
import { RegionAccess } from '../structs.ts'
import { CONFIG_REGION, joined, regionAccess } from './messages.ts'
import type { Trial } from './trial.ts'
import { NotApplicable, type BenchCase, type WireCaseBody, wireCases } from './wire-case.ts'

const { REGION_READ, REGION_WRITE } = VfioUserCommand
const HEAD_BYTES = RegionAccess.byteLength
const CAPABILITY_LIST = 0x10
const COMMAND_OFFSET = 4n
const BAR_OFFSET = 0x10
/** Id of the MSI-X capability. */
const MSIX = 0x11
/** Interrupt index of MSI-X. */
const MSIX_INDEX = 2

/** REGION_READ, REGION_WRITE and configuration space. */
export function regionCases(): BenchCase[] {
  return wireCases('region', [
    {
      name: 'configuration space is read',
      rule: 'the reply to REGION_READ is its own 16 bytes, then the data; a PCI function has a vendor and a header of type 0',
      needs: ['config'],
      body: async (trial) => {
        const config = await readRegion(trial, CONFIG_REGION, 0, 64)
        const view = new DataView(config.buffer, config.byteOffset, config.length)
        const vendor = view.getUint16(0, true)
        trial.expect(vendor !== 0 && vendor !== 0xffff, 'a vendor id')
        trial.expect((view.getUint8(14) & 0x7f) === 0, 'header type 0')
      },
    },
    {
      name: 'configuration space is the same in every width',
      rule: 'reads of 1, 2 and 4 bytes show the bytes of a long read',
      needs: ['config'],
      body: async (trial) => {
        const config = await readRegion(trial, CONFIG_REGION, 0, 64)
        for (const [offset, width] of [
          [0, 1],
          [1, 1],
          [0, 2],
          [2, 2],
          [0, 4],
          [8, 4],
          [60, 4],
        ] as const) {
          const part = await readRegion(trial, CONFIG_REGION, offset, width)
          trial.expectBytes(part, config.subarray(offset, offset + width), `${width} bytes at ${offset}`)
        }
      },
    },
    {
      name: 'the capability list ends',
      rule: 'capabilities of configuration space are a list from 0x34 of offsets of 0x40 and up, without a loop',
      needs: ['config'],
      body: async (trial) => {
        await capabilitiesOf(trial)
      },
    },
    {
      name: 'the MSI-X tables lie in a region',
      rule: 'table and pending bits of the MSI-X capability are inside the BARs that it names; its vectors are those of the interrupt index',
      needs: ['config'],
      body: checkMsix,
    },
    {
      name: 'a read of no bytes succeeds',
      rule: 'count 0 is success with no data',
      needs: ['config'],
      body: async (trial) => {
        const reply = await trial.success(REGION_READ, regionAccess(CONFIG_REGION, 0n, 0))
        trial.expect(reply.length === 0 || reply.length === HEAD_BYTES, 'a bare header, or 16 bytes')
      },
    },
    ...refusedReads(),
    {
      name: 'a read of a region without bytes is refused',
      rule: 'a region of size 0 has nothing to read: EINVAL',
      body: async (trial) => {
        const empty = trial.facts.regions.find(({ size }) => size === 0n)
        if (empty === undefined) throw new NotApplicable('every region of the device has bytes')
        await trial.refused(['EINVAL'], REGION_READ, regionAccess(empty.index, 0n, 4))
      },
    },
    {
      name: 'a write is answered with its head',
      rule: 'the reply to REGION_WRITE is the 16 bytes of the request without the data; configuration space takes writes',
      safety: 'changes',
      needs: ['config'],
      body: async (trial) => {
        const command = await readRegion(trial, CONFIG_REGION, Number(COMMAND_OFFSET), 2)
        const request = regionAccess(CONFIG_REGION, COMMAND_OFFSET, 2, command)
        const reply = await trial.replyOf(HEAD_BYTES, REGION_WRITE, request)
        trial.expectBytes(reply, request.subarray(0, HEAD_BYTES), 'the head of the request')
      },
    },
    {
      name: 'BARs can be sized',
      rule: 'a BAR that was written with ones shows its size, a power of two and that of its region, and takes its old value back',
      safety: 'changes',
      needs: ['config'],
      body: sizeBars,
    },
    {
      name: 'a write with less data than its count is refused',
      rule: 'the payload has count bytes of data: EINVAL',
      safety: 'changes',
      needs: ['config'],
      body: (trial) =>
        trial.refused(
          ['EINVAL'],
          REGION_WRITE,
          regionAccess(CONFIG_REGION, COMMAND_OFFSET, 4, new Uint8Array(2)),
        ),
    },
    {
      name: 'a write with more data than its count is refused',
      rule: 'the payload has count bytes of data: EINVAL',
      safety: 'changes',
      needs: ['config'],
      body: (trial) =>
        trial.refused(
          ['EINVAL'],
          REGION_WRITE,
          regionAccess(CONFIG_REGION, COMMAND_OFFSET, 2, new Uint8Array(4)),
        ),
    },
    {
      name: 'a write past the end is refused',
      rule: 'offset and count lie within the region: EINVAL, and nothing is written',
      safety: 'changes',
      needs: ['config'],
      body: async (trial) => {
        const size = trial.facts.regions[CONFIG_REGION]?.size ?? 256n
        await trial.refused(['EINVAL'], REGION_WRITE, regionAccess(CONFIG_REGION, size, 4, new Uint8Array(4)))
      },
    },
  ])
}

function refusedReads(): WireCaseBody[] {
  const rule = 'offset and count lie within the region: EINVAL'
  const past = (name: string, place: (size: bigint) => [offset: bigint, count: number]) => ({
    name: `a read ${name} is refused`,
    rule,
    needs: ['config'] as const,
    body: (trial: Trial) => {
      const size = trial.facts.regions[CONFIG_REGION]?.size ?? 256n
      return trial.refused(['EINVAL'], REGION_READ, regionAccess(CONFIG_REGION, ...place(size)))
    },
  })
  return [
    past('at the end', (size) => [size, 1]),
    past('across the end', (size) => [size - 2n, 4]),
    past('at the last offset there is', () => [0xffff_ffff_ffff_ffffn, 4]),
    past('of 4 GiB', () => [0n, 0xffff_ffff]),
    ...[9, 0xdead_beef].map((region) => ({
      name: `a read of region ${region} is refused`,
      rule: 'an index that GET_INFO does not count is EINVAL',
      body: (trial: Trial) => trial.refused(['EINVAL'], REGION_READ, regionAccess(region, 0n, 4)),
    })),
    {
      name: 'a read with half a head is refused',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      body: (trial: Trial) =>
        trial.refused(['EINVAL'], REGION_READ, regionAccess(CONFIG_REGION, 0n, 4).subarray(0, 8)),
    },
  ]
}

/** Where each capability of configuration space is, by its id. */
async function capabilitiesOf(trial: Trial): Promise<Map<number, number>> {
  const head = await readRegion(trial, CONFIG_REGION, 0, 64)
  const hasList = ((head[6] ?? 0) & CAPABILITY_LIST) !== 0
  const seen = new Set<number>()
  const found = new Map<number, number>()
  for (let at = hasList ? (head[0x34] ?? 0) & 0xfc : 0; at !== 0;) {
    trial.expect(at >= 0x40, 'a capability at 0x40 or above')
    trial.expect(!seen.has(at), 'a list without a loop')
    seen.add(at)
    const [id = 0, next = 0] = await readRegion(trial, CONFIG_REGION, at, 2)
    found.set(id, at)
    at = next & 0xfc
  }
  return found
}

async function checkMsix(trial: Trial): Promise<void> {
  const at = (await capabilitiesOf(trial)).get(MSIX)
  if (at === undefined) throw new NotApplicable('the device has no MSI-X')
  const bytes = joined(await readRegion(trial, CONFIG_REGION, at, 12))
  const view = new DataView(bytes.buffer)
  const vectors = (view.getUint16(2, true) & 0x7ff) + 1
  const { regions, irqs } = trial.facts
  for (const [what, place, byteLength] of [
    ['table', view.getUint32(4, true), 16 * vectors],
    ['pending bits', view.getUint32(8, true), 8 * Math.ceil(vectors / 64)],
  ] as const) {
    const [bar, offset] = [place & 7, place - (place & 7)]
    const size = regions[bar]?.size ?? 0n
    trial.expect(
      BigInt(offset + byteLength) <= size,
      `the ${what} of ${vectors} vectors, at ${offset} of BAR ${bar} with ${size} bytes, inside it`,
    )
  }
  trial.expect(irqs[MSIX_INDEX]?.count === vectors, `${vectors} vectors of interrupt index ${MSIX_INDEX}`)
}

/** Bytes of a region, by one read. */
export async function readRegion(
  trial: Trial,
  region: number,
  offset: number,
  count: number,
): Promise<Uint8Array> {
  const request = regionAccess(region, BigInt(offset), count)
  const reply = await trial.replyOf(HEAD_BYTES + count, REGION_READ, request)
  trial.expectBytes(reply.subarray(0, HEAD_BYTES), request, 'a reply that begins with its request')
  return reply.subarray(HEAD_BYTES)
}

async function sizeBars(trial: Trial): Promise<void> {
  const ones = new Uint8Array(4).fill(0xff)
  for (let bar = 0; bar < 6; bar++) {
    const offset = BAR_OFFSET + 4 * bar
    const before = await readRegion(trial, CONFIG_REGION, offset, 4)
    await trial.success(REGION_WRITE, regionAccess(CONFIG_REGION, BigInt(offset), 4, ones))
    const shown = await readRegion(trial, CONFIG_REGION, offset, 4)
    await trial.success(REGION_WRITE, regionAccess(CONFIG_REGION, BigInt(offset), 4, before))
    const value = new DataView(joined(shown).buffer).getUint32(0, true)
    const size = trial.facts.regions[bar]?.size ?? 0n
    const mask = (value & 1) !== 0 ? 0xffff_fffc : 0xffff_fff0
    const is64 = (value & 7) === 4
    // The upper half of a BAR of 64 bits is sized with the lower one.
    if (is64) bar++
    if (size === 0n || size > 0xffff_ffffn) continue
    const shownSize = (~(value & mask) + 1) >>> 0
    const isPower = (size & (size - 1n)) === 0n
    const rounding = {
      when: () => !isPower,
      quirk: `libvfio-user: a BAR of ${size} bytes, which is no power of two; newer releases refuse it at start`,
    }
    trial.expect(
      isPower && BigInt(shownSize) === size,
      `BAR ${bar} of ${size} bytes, a power of two`,
      rounding,
    )
  }
}
