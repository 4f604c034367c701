import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PageBits } from '../../../src/device/page-bits.ts'

const BITS = 200
const range = fc.tuple(fc.nat(BITS), fc.nat(BITS)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)

describe('PageBits', () => {
  it('sets, clears and finds as an array of booleans does', () => {
    const change = fc.record({ clear: fc.boolean(), range })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), range, (changes, [from, end]) => {
        const bits = new PageBits(Math.ceil(BITS / 8))
        const model = Array.from({ length: BITS }, () => false)
        for (const { clear, range: span } of changes) {
          if (clear) bits.clear(...span)
          else bits.set(...span)
          model.fill(!clear, ...span)
        }
        expect(model.map((_, n) => ((bits.bytes[n >> 3]! >> (n & 7)) & 1) === 1)).toEqual(model)
        const first = (wanted: boolean): number => {
          const found = model.indexOf(wanted, from)
          return found === -1 || found > end ? end : found
        }
        expect([bits.nextSet(from, end), bits.nextClear(from, end)]).toEqual([first(true), first(false)])
      }),
    )
  })

  it('rounds up to whole words and starts clear', () => {
    expect([...new PageBits(5).bytes]).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
  })
})
