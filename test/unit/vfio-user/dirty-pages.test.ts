/** The log of one region of a client's memory, of any size. */

import { describe, expect, it } from 'vitest'
import { PageBits } from '../../../src/device/page-bits.ts'
import { DirtyBudget, DirtyPages } from '../../../src/vfio-user/dirty-pages.ts'

const PAGE = 4096
const BLOCK = 128 * 1024 * 1024
const TIB = 2 ** 40

function collected(dirty: DirtyPages, pageBytes: number, pages: number): number[] {
  const bits = new PageBits(Math.ceil(pages / 8))
  dirty.collect(pageBytes, bits)
  const set: number[] = []
  for (let page = bits.nextSet(0, pages); page < pages; page = bits.nextSet(page + 1, pages)) set.push(page)
  return set
}

describe('DirtyPages', () => {
  it('marks from the first to the last byte, also across blocks', () => {
    const dirty = new DirtyPages(2 * BLOCK, new DirtyBudget())
    dirty.mark(BLOCK - 1, 2)
    dirty.mark(0, 0)
    const last = BLOCK / PAGE
    expect(collected(dirty, PAGE, 2 * last)).toEqual([last - 1, last])
    expect(collected(dirty, PAGE, 2 * last), 'forgotten').toEqual([])
  })

  it('sets no bit behind the end of a region that is no whole number of pages', () => {
    const dirty = new DirtyPages(PAGE + 100, new DirtyBudget())
    dirty.mark(PAGE, 100)
    expect(collected(dirty, 64, 128)).toEqual([64, 65])
  })

  it('takes memory for what was written only', () => {
    const budget = new DirtyBudget()
    const dirty = new DirtyPages(8 * TIB, budget)
    dirty.mark(0, 1)
    dirty.mark(8 * TIB - 1, 1)
    expect(budget.blocks).toBe(2)
    expect(collected(dirty, TIB, 8)).toEqual([0, 7])
    expect(budget.blocks).toBe(0)
  })

  it('counts a whole region as written when there are too many places, and is exact again afterwards', () => {
    const budget = new DirtyBudget()
    const dirty = new DirtyPages(8 * TIB, budget)
    const other = new DirtyPages(BLOCK, budget)
    other.mark(0, 1)
    for (let block = 0; block <= 4096; block++) dirty.mark(block * BLOCK, 1)
    expect(budget.blocks, 'of the other one').toBe(1)
    expect(collected(dirty, TIB, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    dirty.mark(TIB, 1)
    expect(collected(dirty, TIB, 8)).toEqual([1])
    expect(collected(other, PAGE, 8)).toEqual([0])
  })
})
