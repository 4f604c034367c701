import { describe, expect, it } from 'vitest'
import { StateLock } from '../../../src/device/state-lock.ts'
import { deferred } from '../../support/pending.ts'

describe('StateLock', () => {
  it('never runs two at a time and keeps their order, whenever they come', async () => {
    const lock = new StateLock(async () => {})
    const order: number[] = []
    let inside = 0
    let most = 0
    const runs: Promise<void>[] = []
    // One newcomer per microtask meets every moment of the hand-over.
    for (let i = 0; i < 100; i++) {
      runs.push(
        lock.run(async () => {
          most = Math.max(most, ++inside)
          order.push(i)
          await Promise.resolve()
          inside--
        }),
      )
      await Promise.resolve()
    }
    await Promise.all(runs)
    expect([most, order]).toEqual([1, Array.from({ length: 100 }, (_, i) => i)])
  })

  it('goes on after a failure, which only its caller sees', async () => {
    const lock = new StateLock(async () => {})
    const failing = lock.run(() => {
      throw new Error('broken')
    })
    const next = lock.run(() => 7)
    await expect(failing).rejects.toThrow('broken')
    expect(await next).toBe(7)
  })

  it('A.7 applies a pending reset before it hands the lock on', async () => {
    const order: string[] = []
    const lock = new StateLock(async () => void order.push('reset'))
    const gate = deferred()
    const holder = lock.run(() => gate.promise)
    const waiter = lock.run(() => void order.push('waiter'))
    const reset = lock.reset()
    gate.resolve()
    await Promise.all([holder, waiter, reset])
    expect(order).toEqual(['reset', 'waiter'])
  })
})
