/**
 * DMA regions without a descriptor, which the server reaches by messages.
 *
 * @module
 */

import { VfioUserCommand } from '../command.ts'
import { isErrno } from './answer.ts'
import { dmaMap, dmaUnmap, UNUSED_ADDRESS } from './messages.ts'
import { successQuirk, type Trial } from './trial.ts'
import { type BenchCase, wireCases } from './wire-case.ts'

const { DMA_MAP, DMA_UNMAP } = VfioUserCommand
const ADDRESS = 0x10_0000n
const SIZE = 0x1_0000n
const ALL = 2

/** DMA_MAP and DMA_UNMAP. */
export function dmaCases(): BenchCase[] {
  return wireCases('dma', [
    {
      name: 'a region that was never mapped cannot be unmapped',
      rule: 'DMA_UNMAP names a region as it was mapped: ENOENT',
      body: (trial) =>
        trial.refused(
          ['ENOENT'],
          DMA_UNMAP,
          dmaUnmap(UNUSED_ADDRESS, 4096n),
          successQuirk(
            'libvfio-user: a device without DMA set up takes every DMA_MAP and DMA_UNMAP, and keeps none',
          ),
        ),
    },
    {
      name: 'a region is mapped and unmapped',
      rule: 'DMA_MAP without a descriptor is answered with a bare header, DMA_UNMAP with its own 24 bytes',
      safety: 'changes',
      body: (trial) => withRegion(trial, async () => {}),
    },
    {
      name: 'a region over another is refused',
      rule: 'a region that overlaps one that is mapped is refused: EEXIST, or EINVAL',
      safety: 'changes',
      needs: ['dma'],
      body: (trial) =>
        withRegion(trial, async () => {
          await trial.refused(['EEXIST', 'EINVAL'], DMA_MAP, dmaMap(ADDRESS + SIZE / 2n, SIZE))
          const { answer } = trial
          if (answer?.kind === 'error' && isErrno(answer.errno, 'EINVAL'))
            trial.habit('an overlap is EINVAL, where the text says EEXIST')
        }),
    },
    {
      name: 'half a region cannot be unmapped',
      rule: 'DMA_UNMAP names a region as it was mapped: ENOENT, or EINVAL, and it stays',
      safety: 'changes',
      needs: ['dma'],
      body: (trial) =>
        withRegion(trial, () => trial.refused(['ENOENT', 'EINVAL'], DMA_UNMAP, dmaUnmap(ADDRESS, SIZE / 2n))),
    },
    {
      name: 'all regions are unmapped at once',
      rule: 'flag 2 of DMA_UNMAP with address and size 0 unmaps every region',
      safety: 'changes',
      needs: ['dma'],
      body: async (trial) => {
        await trial.replyOf(0, DMA_MAP, dmaMap(ADDRESS, SIZE))
        await trial.success(DMA_UNMAP, dmaUnmap(0n, 0n, ALL))
        await trial.refused(['ENOENT'], DMA_UNMAP, dmaUnmap(ADDRESS, SIZE))
      },
    },
    {
      name: 'unknown flags of DMA_MAP are refused',
      rule: 'bits that have no meaning are EINVAL',
      safety: 'changes',
      needs: ['dma'],
      body: (trial) => trial.refused(['EINVAL'], DMA_MAP, dmaMap(ADDRESS, SIZE, 0x103)),
    },
    {
      name: 'DMA_MAP refuses a payload that is too short',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      safety: 'changes',
      body: (trial) => trial.refused(['EINVAL'], DMA_MAP, dmaMap(ADDRESS, SIZE).subarray(0, 24)),
    },
    {
      name: 'DMA_UNMAP refuses a payload that is too short',
      rule: 'a payload shorter than its structure is EINVAL, and nothing behind it is read',
      safety: 'changes',
      body: (trial) => trial.refused(['EINVAL'], DMA_UNMAP, dmaUnmap(ADDRESS, SIZE).subarray(0, 16)),
    },
  ])
}

/** Maps a region of 64 KiB, and unmaps it whatever `work` finds. */
export async function withRegion(
  trial: Trial,
  work: (address: bigint, size: bigint) => Promise<void>,
): Promise<void> {
  await trial.replyOf(0, DMA_MAP, dmaMap(ADDRESS, SIZE))
  try {
    await work(ADDRESS, SIZE)
  } catch (error) {
    await trial.peer.call({ command: DMA_UNMAP, payload: dmaUnmap(ADDRESS, SIZE) })
    throw error
  }
  const { sent, answer } = trial
  const request = dmaUnmap(ADDRESS, SIZE)
  trial.expectBytes(await trial.success(DMA_UNMAP, request), request, 'the request')
  // What the case was about is what its finding tells.
  trial.sent = sent
  trial.answer = answer
}
