import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReceiveRing } from '../../../src/node/receive-ring.ts'
import { outcome } from '../../support/vfio-error.ts'

const BYTES = 65_536

/** Fails unless the bytes are those of the stream from `first` on. */
function check(bytes: Uint8Array, first: number): void {
  expect(bytes.findIndex((byte, i) => byte !== (first + i) % 251)).toBe(-1)
}

describe('the receive ring', () => {
  it('gives any bytes in order, by leases and reads of any size, and never fills what is held', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('receive' as const), size: fc.integer({ min: 1, max: BYTES / 2 }) }),
      fc.record({
        kind: fc.constantFrom('lend' as const, 'take' as const),
        size: fc.integer({ min: 1, max: BYTES }),
      }),
      fc.record({ kind: fc.constant('release' as const), size: fc.constant(0) }),
    )
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => {
        const ring = new ReceiveRing(new Uint8Array(BYTES))
        let received = 0
        let given = 0
        const leases: { view: Uint8Array; first: number }[] = []
        for (const { kind, size } of steps) {
          if (kind === 'receive' && ring.free) {
            const place = ring.place.subarray(0, size)
            for (let i = 0; i < place.length; i++) place[i] = (received + i) % 251
            ring.received(place.length)
            received += place.length
          } else if (kind === 'lend' && ring.byteLength > 0) {
            const view = ring.lend(size)
            leases.push({ view, first: given })
            given += view.length
          } else if (kind === 'take' && ring.byteLength > 0) {
            const dst = new Uint8Array(size)
            const n = ring.take(dst)
            check(dst.subarray(0, n), given)
            given += n
          } else if (kind === 'release' && leases.length > 0) {
            leases.shift()
            ring.release()
          }
          for (const { view, first } of leases) check(view, first)
          expect(ring.byteLength).toBe(received - given)
        }
      }),
      { numRuns: 20 },
    )
  })

  it('joins what arrived in pieces into one lease', () => {
    const ring = new ReceiveRing(new Uint8Array(BYTES))
    ring.received(10)
    ring.received(20)
    expect(ring.lend(100)).toHaveLength(30)
  })

  it('has room again when the lease in its way is released', () => {
    const ring = new ReceiveRing(new Uint8Array(BYTES))
    ring.received(BYTES / 2)
    ring.received(BYTES / 2)
    expect(ring.free).toBe(false)
    ring.lend(BYTES)
    expect(ring.free).toBe(false)
    ring.release()
    expect(ring.free).toBe(true)
  })

  it('needs 64 KiB, and a lease to release', () => {
    expect(outcome(() => new ReceiveRing(new Uint8Array(BYTES - 1)))).toBe('EINVAL')
    expect(outcome(() => new ReceiveRing(new Uint8Array(BYTES)).release())).toBe('EINVAL')
  })
})
