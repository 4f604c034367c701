/**
 * Questions about the device: its regions and its interrupts.
 *
 * @module
 */

import { VfioUserCommand } from '../command.ts'
import { DeviceInfo, IrqInfo, RegionInfo, RegionIoFds } from '../structs.ts'
import { deviceInfo, irqInfo, joined, regionInfo } from './messages.ts'
import type { Trial } from './trial.ts'
import { type BenchCase, wireCases } from './wire-case.ts'

const { DEVICE_GET_INFO, DEVICE_GET_REGION_INFO, DEVICE_GET_REGION_IO_FDS, DEVICE_GET_IRQ_INFO } =
  VfioUserCommand

const PCI_REGIONS = 9
const PCI_IRQS = 5
const CAPABILITIES = 8
const ACCESS = 3

/** GET_INFO, GET_REGION_INFO, GET_IRQ_INFO and what they refuse. */
export function infoCases(): BenchCase[] {
  return wireCases('info', [
    {
      name: 'a PCI device has 9 regions and 5 interrupt indexes',
      rule: `DEVICE_GET_INFO is answered with 16 bytes: argsz, flags, and the counts of a PCI device, on which clients insist`,
      body: async (trial) => {
        const reply = DeviceInfo.decode(
          await trial.replyOf(DeviceInfo.byteLength, DEVICE_GET_INFO, deviceInfo()),
        )
        trial.expect(reply.argsz >= DeviceInfo.byteLength, 'argsz of 16 or more')
        const isPci = (reply.flags & 2) !== 0
        const counts = reply.numRegions === PCI_REGIONS && reply.numIrqs === PCI_IRQS
        trial.expect(!isPci || counts, '9 regions and 5 interrupt indexes')
      },
    },
    {
      name: 'GET_INFO takes a longer structure',
      rule: 'argsz says what the client has room for; one that has more is answered, too (clients in Rust send 32)',
      body: async (trial) => {
        await trial.success(DEVICE_GET_INFO, joined(deviceInfo(32), new Uint8Array(16)))
      },
    },
    {
      name: 'GET_INFO refuses an argsz that is too small',
      rule: 'argsz must cover the 16 bytes: EINVAL',
      body: (trial) => trial.refused(['EINVAL'], DEVICE_GET_INFO, deviceInfo(15)),
    },
    {
      name: 'GET_INFO refuses a payload that is too short',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      body: (trial) => trial.refused(['EINVAL'], DEVICE_GET_INFO, deviceInfo().subarray(0, 12)),
    },
    {
      name: 'every region tells of itself',
      rule: 'DEVICE_GET_REGION_INFO echoes the index; a region with bytes can be read or written; argsz covers the structure',
      body: async (trial) => {
        for (let index = 0; index < trial.facts.regions.length; index++) {
          const reply = await trial.success(DEVICE_GET_REGION_INFO, regionInfo(index))
          trial.expect(reply.length >= RegionInfo.byteLength, 'a reply with 32 bytes or more')
          const region = RegionInfo.decode(reply)
          trial.expect(region.index === index, `index ${index}`)
          trial.expect(region.argsz >= RegionInfo.byteLength, 'argsz of 32 or more')
          trial.expect(region.size === 0n || (region.flags & ACCESS) !== 0, 'a region that can be accessed')
        }
      },
    },
    {
      name: 'capabilities of a region are held back from a small argsz',
      rule: 'argsz of the reply is what there is; capabilities, and the descriptor, come only where the request has room',
      body: async (trial) => {
        for (const { index, flags, argsz } of trial.facts.regions) {
          if ((flags & CAPABILITIES) === 0 || argsz <= RegionInfo.byteLength) continue
          const short = await trial.replyOf(RegionInfo.byteLength, DEVICE_GET_REGION_INFO, regionInfo(index))
          trial.expect(RegionInfo.decode(short).argsz === argsz, `argsz ${argsz}`)
          const request = joined(regionInfo(index, argsz), new Uint8Array(argsz - RegionInfo.byteLength))
          const whole = await trial.replyOf(argsz, DEVICE_GET_REGION_INFO, request)
          const { capOffset } = RegionInfo.decode(whole)
          trial.expect(
            capOffset >= RegionInfo.byteLength && capOffset < argsz,
            'capabilities inside the reply',
          )
        }
      },
    },
    ...[9, 0xffff_ffff].map((index) => ({
      name: `region ${index} does not exist`,
      rule: 'an index that GET_INFO does not count is EINVAL',
      body: (trial: Trial) => trial.refused(['EINVAL'], DEVICE_GET_REGION_INFO, regionInfo(index)),
    })),
    {
      name: 'GET_REGION_INFO refuses an argsz that is too small',
      rule: 'argsz must cover the 32 bytes: EINVAL',
      body: (trial) => trial.refused(['EINVAL'], DEVICE_GET_REGION_INFO, regionInfo(0, 31)),
    },
    {
      name: 'GET_REGION_INFO refuses a payload that is too short',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      body: (trial) => trial.refused(['EINVAL'], DEVICE_GET_REGION_INFO, regionInfo(0).subarray(0, 24)),
    },
    {
      name: 'GET_REGION_IO_FDS is answered or refused',
      rule: 'descriptors for regions are an option: EINVAL, or 16 bytes and an entry each',
      body: async (trial) => {
        const request = RegionIoFds.encode({ argsz: RegionIoFds.byteLength, flags: 0, index: 0, count: 0 })
        const answer = await trial.call(DEVICE_GET_REGION_IO_FDS, request)
        if (answer.kind === 'reply') {
          trial.expect(answer.payload.length >= RegionIoFds.byteLength, 'a reply with 16 bytes or more')
        } else trial.expect(answer.kind === 'error', 'a reply')
      },
    },
    {
      name: 'every interrupt index tells of itself',
      rule: 'DEVICE_GET_IRQ_INFO is answered with 16 bytes that echo the index; what has vectors is signalled by eventfd',
      body: async (trial) => {
        for (let index = 0; index < trial.facts.irqs.length; index++) {
          const reply = IrqInfo.decode(
            await trial.replyOf(IrqInfo.byteLength, DEVICE_GET_IRQ_INFO, irqInfo(index)),
          )
          trial.expect(reply.index === index, `index ${index}`)
          trial.expect(reply.count === 0 || (reply.flags & 1) !== 0, 'the eventfd flag')
        }
      },
    },
    ...[5, 0xffff_ffff].map((index) => ({
      name: `interrupt index ${index} does not exist`,
      rule: 'an index that GET_INFO does not count is EINVAL',
      body: (trial: Trial) => trial.refused(['EINVAL'], DEVICE_GET_IRQ_INFO, irqInfo(index)),
    })),
    {
      name: 'GET_IRQ_INFO refuses a payload that is too short',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      body: (trial) => trial.refused(['EINVAL'], DEVICE_GET_IRQ_INFO, irqInfo(0).subarray(0, 12)),
    },
  ])
}
