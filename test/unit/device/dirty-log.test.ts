import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DIRTY_LOG_MAX_PAGES,
  DIRTY_LOG_MAX_PAGE_SIZE,
  DIRTY_LOG_MIN_PAGE_SIZE,
  DirtyLog,
} from '../../../src/device/dirty-log.ts'
import type { DmaRange } from '../../../src/device/driver.ts'
import { outcome } from '../../support/vfio-error.ts'

const PAGE = 4096n

function range(firstPage: number | bigint, pageCount: number): DmaRange {
  return { iova: BigInt(firstPage) * PAGE, length: BigInt(pageCount) * PAGE }
}

function started(...ranges: DmaRange[]): DirtyLog {
  const log = new DirtyLog()
  log.start(ranges, PAGE)
  return log
}

/** [first page, page count] of each dirty run. */
function report(log: DirtyLog, asked: DmaRange): [number, number][] {
  const runs: [number, number][] = []
  log.report(asked, ({ iova, length }) => runs.push([Number(iova / PAGE), Number(length / PAGE)]))
  return runs
}

describe('DirtyLog', () => {
  it('A.6 reports the pages that writes touched as runs, and clears them', () => {
    const log = started(range(0, 100))
    log.mark(0x3fff, 2)
    log.mark(0x5000n, 1)
    log.mark(50 * 4096, 3 * 4096)
    expect(report(log, range(0, 100))).toEqual([
      [3, 3],
      [50, 3],
    ])
    expect(report(log, range(0, 100))).toEqual([])
  })

  it('A.6 clears only what it reports', () => {
    const log = started(range(0, 10))
    log.mark(0n, 10 * 4096)
    expect(report(log, range(2, 3))).toEqual([[2, 3]])
    expect(report(log, range(0, 10))).toEqual([
      [0, 2],
      [5, 5],
    ])
  })

  it('A.6 START while started is EINVAL, and the log goes on', () => {
    const log = started(range(0, 4))
    log.mark(0, 1)
    expect(outcome(() => log.start([range(0, 4)], PAGE))).toBe('EINVAL')
    expect(report(log, range(0, 4))).toEqual([[0, 1]])
  })

  it('A.6 STOP while stopped is no error, and a new START is empty', () => {
    const log = started(range(0, 4))
    log.mark(0, 1)
    log.stop()
    log.stop()
    log.mark(0, 1)
    expect(log.started).toBe(false)
    log.start([range(0, 4)], PAGE)
    expect(report(log, range(0, 4))).toEqual([])
  })

  it('A.6 REPORT while stopped, outside the ranges, across a gap or of length 0 is EINVAL', () => {
    const log = started(range(10, 10), range(30, 10))
    const asked = [range(9, 2), range(19, 2), range(15, 20), range(0, 1), range(40, 1), range(12, 0)]
    expect(asked.map((r) => outcome(() => report(log, r)))).toEqual(asked.map(() => 'EINVAL'))
    log.stop()
    expect(outcome(() => report(log, range(10, 1)))).toBe('EINVAL')
  })

  it('A.6 too many ranges for HW: none are merged, each of the 256 a START may have is tracked alone', () => {
    const log = started(...Array.from({ length: 256 }, (_, index) => range(index * 3, 1)))
    for (let index = 0; index < 256; index++) log.mark(BigInt(index * 3) * PAGE, 1)
    log.mark(PAGE, 4096)
    for (let index = 0; index < 256; index++) {
      expect(report(log, range(index * 3, 1))).toEqual([[index * 3, 1]])
      expect(outcome(() => report(log, range(index * 3 + 1, 1)))).toBe('EINVAL')
    }
  })

  it('A.6 ranges that touch can be reported together, in any order of the START', () => {
    const log = started(range(20, 10), range(10, 10))
    log.mark(19n * PAGE, 8192)
    expect(report(log, range(10, 20))).toEqual([[19, 2]])
  })

  it.each([
    [512n, DIRTY_LOG_MIN_PAGE_SIZE],
    [4096n, 4096n],
    [65_536n, 65_536n],
    [2_097_152n, 2_097_152n],
    [1_073_741_824n, DIRTY_LOG_MAX_PAGE_SIZE],
  ])('A.6 a page size hint of %i is clamped to %i', (hint, used) => {
    expect(new DirtyLog().start([{ iova: 0n, length: hint }], hint)).toBe(used)
  })

  it('ranges smaller than a page share one after clamping', () => {
    const log = new DirtyLog()
    log.start(
      [
        { iova: 512n, length: 512n },
        { iova: 2048n, length: 512n },
      ],
      512n,
    )
    log.mark(600, 1)
    expect(report(log, { iova: 512n, length: 512n })).toEqual([[0, 1]])
  })

  it('a page that is reported in part stays dirty, so no other part of it is lost', () => {
    const log = new DirtyLog()
    log.start([{ iova: 0n, length: 4_194_304n }], 2_097_152n)
    log.mark(2_097_152 + 100, 1)
    const head = { iova: 2_097_152n, length: 4096n }
    const tail = { iova: 2_097_152n + 4096n, length: 2_097_152n - 4096n }
    for (const part of [head, head, tail, tail]) expect(report(log, part)).toEqual([[512, 512]])
    expect(report(log, { iova: 0n, length: 4_194_304n })).toEqual([[512, 512]])
    expect(report(log, { iova: 0n, length: 4_194_304n })).toEqual([])
  })

  it('keeps pages near the top of the address space apart', () => {
    const top = 2n ** 52n - 3n
    const log = started(range(top, 2))
    log.mark((top + 1n) * PAGE + 7n, 1)
    expect(report(log, range(top, 2))).toEqual([[Number(top + 1n), 1]])
  })

  it('marks outside the ranges, of 0 bytes and across ranges do what they should', () => {
    const log = started(range(10, 10), range(30, 10))
    log.mark(0, 4096)
    log.mark(12n * PAGE, 0)
    log.mark(25n * PAGE, 4096)
    log.mark(18n * PAGE, 14 * 4096)
    expect(report(log, range(10, 10))).toEqual([[18, 2]])
    expect(report(log, range(30, 10))).toEqual([[30, 2]])
  })

  it('more pages than the limit are ENOMEM before anything is allocated', () => {
    const log = new DirtyLog()
    const tooMany = range(0, DIRTY_LOG_MAX_PAGES + 1)
    expect(outcome(() => log.start([tooMany], PAGE))).toBe('ENOMEM')
    expect(outcome(() => log.start([range(0, DIRTY_LOG_MAX_PAGES), range(2 ** 40, 1)], PAGE))).toBe('ENOMEM')
    expect(log.started).toBe(false)
  })

  it('agrees with a set of page numbers, for any ranges, writes and reports', () => {
    const span = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 12 }))
    fc.assert(
      fc.property(
        fc.array(span, { minLength: 1, maxLength: 6 }),
        fc.array(span),
        fc.array(span),
        (a, b, c) => {
          const logged = new Set(a.flatMap(([first, count]) => pagesOf(first, count)))
          const dirty = new Set<number>()
          const log = new DirtyLog()
          log.start(
            a.map(([first, count]) => range(first, count)),
            PAGE,
          )
          for (const [first, count] of b) {
            log.mark(BigInt(first) * PAGE + 1n, count * 4096 - 1)
            for (const page of pagesOf(first, count)) if (logged.has(page)) dirty.add(page)
          }
          for (const [first, count] of c) {
            const pages = pagesOf(first, count)
            if (!pages.every((page) => logged.has(page))) {
              expect(outcome(() => report(log, range(first, count)))).toBe('EINVAL')
              continue
            }
            const seen = report(log, range(first, count)).flatMap(([from, n]) => pagesOf(from, n))
            expect(seen).toEqual(pages.filter((page) => dirty.delete(page)))
          }
        },
      ),
    )
  })
})

function pagesOf(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i)
}
