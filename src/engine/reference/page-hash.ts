/**
 * A table of page hashes in plain TypeScript.
 *
 * @module
 */

import { KERNEL_EFAULT, KERNEL_EINVAL } from '../kernel-abi.ts'
import { isOutside } from './bounds.ts'
import { xxh3 } from './xxh3.ts'

/** Twin of `pagesHash`. */
export function pagesHash(
  view: DataView,
  src: number,
  length: number,
  pageBytes: number,
  table: number,
): number {
  if (pageBytes === 0) return KERNEL_EINVAL
  const pageCount = Math.ceil(length / pageBytes)
  if (isOutside(view.byteLength, src, length) || isOutside(view.byteLength, table, pageCount * 8))
    return KERNEL_EFAULT
  for (let page = 0; page < pageCount; page++)
    view.setBigUint64(table + 8 * page, hashOfPage(view, src, length, pageBytes, page), true)
  return 0
}

/** Twin of `pagesHashDiff`. */
export function pagesHashDiff(
  view: DataView,
  src: number,
  length: number,
  pageBytes: number,
  table: number,
  bitmap: number,
): number {
  if (pageBytes === 0) return KERNEL_EINVAL
  const pageCount = Math.ceil(length / pageBytes)
  if (pageCount > 0x7fffffff) return KERNEL_EINVAL
  const outside = (pointer: number, byteLength: number): boolean =>
    isOutside(view.byteLength, pointer, byteLength)
  if (outside(src, length) || outside(table, pageCount * 8) || outside(bitmap, Math.ceil(pageCount / 8)))
    return KERNEL_EFAULT
  let found = 0
  for (let page = 0; page < pageCount; page++) {
    const cell = bitmap + (page >>> 3)
    const bits = view.getUint8(cell)
    const bit = 1 << (page & 7)
    if ((bits & bit) !== 0) continue
    if (hashOfPage(view, src, length, pageBytes, page) === view.getBigUint64(table + 8 * page, true)) continue
    view.setUint8(cell, bits | bit)
    found++
  }
  return found
}

function hashOfPage(view: DataView, src: number, length: number, pageBytes: number, page: number): bigint {
  const start = page * pageBytes
  return xxh3(view, src + start, Math.min(pageBytes, length - start), 0n)
}
