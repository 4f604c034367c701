/**
 * DMA logging: features DMA_LOGGING_START, _STOP and _REPORT.
 *
 * @module
 */

import { VfioUserCommand } from '../command.ts'
import { loggingReport, loggingStart, loggingStop, UNUSED_ADDRESS } from './messages.ts'
import { withRegion } from './dma-cases.ts'
import { errnoQuirk, type Trial } from './trial.ts'
import { type BenchCase, wireCases } from './wire-case.ts'

const { DEVICE_FEATURE } = VfioUserCommand
const PAGE = 4096n
const BITMAP_BYTES = 8
const REPORT_BYTES = 32 + BITMAP_BYTES

const MESSAGE_MODE = errnoQuirk(
  'EINVAL',
  'libvfio-user: there is no report of a region without a descriptor; the client sees those writes as messages',
)

/** DMA logging over one region of 16 pages. */
export function loggingCases(): BenchCase[] {
  const needs = ['migration', 'logging', 'dma'] as const
  const safety = 'changes'
  return wireCases('logging', [
    {
      name: 'a log is started, reported and stopped',
      rule: 'the report of a region is head, 24 bytes and a bitmap of whole 64-bit words; nothing was written yet, or a bit stands for each page',
      safety,
      needs,
      body: (trial) =>
        logging(trial, async (address, size) => {
          const request = loggingReport(address, size, PAGE, BITMAP_BYTES)
          await trial.replyOf(REPORT_BYTES, DEVICE_FEATURE, request, MESSAGE_MODE)
        }),
    },
    {
      name: 'a report of memory that is not mapped is refused',
      rule: 'a report of addresses without a region is ENOENT, or EINVAL as the kernel has it',
      safety,
      needs,
      body: (trial) =>
        logging(trial, (_address, size) =>
          trial.refused(
            ['ENOENT', 'EINVAL'],
            DEVICE_FEATURE,
            loggingReport(UNUSED_ADDRESS, size, PAGE, BITMAP_BYTES),
          ),
        ),
    },
    ...[0n, 3n].map((pageSize) => ({
      name: `a report with a page size of ${pageSize} is refused`,
      rule: 'a page size is a power of two: EINVAL',
      safety: 'changes' as const,
      needs,
      body: (trial: Trial) =>
        logging(trial, (address, size) =>
          trial.refused(['EINVAL'], DEVICE_FEATURE, loggingReport(address, size, pageSize, BITMAP_BYTES)),
        ),
    })),
    {
      name: 'a page size of 0 is refused',
      rule: 'a page size is a power of two: EINVAL',
      safety,
      needs,
      body: (trial) =>
        withRegion(trial, (address, size) =>
          trial.refused(['EINVAL'], DEVICE_FEATURE, loggingStart(0n, address, size)),
        ),
    },
    {
      name: 'a report without a log is refused',
      rule: 'a report while no log is kept is EINVAL',
      safety,
      needs,
      body: (trial) =>
        withRegion(trial, (address, size) =>
          trial.refused(['EINVAL'], DEVICE_FEATURE, loggingReport(address, size, PAGE, BITMAP_BYTES)),
        ),
    },
    {
      name: 'a log that was not started can be stopped',
      rule: 'DMA_LOGGING_STOP succeeds in any case',
      safety,
      needs,
      body: async (trial) => {
        await trial.success(DEVICE_FEATURE, loggingStop())
      },
    },
  ])
}

/** Keeps a log of a region while `work` runs. */
async function logging(trial: Trial, work: (address: bigint, size: bigint) => Promise<void>): Promise<void> {
  await withRegion(trial, async (address, size) => {
    await trial.success(DEVICE_FEATURE, loggingStart(PAGE, address, size))
    try {
      await work(address, size)
    } finally {
      await trial.peer.call({ command: DEVICE_FEATURE, payload: loggingStop() })
    }
  })
}
