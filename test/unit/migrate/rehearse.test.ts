/** Of a process that has not migrated yet: each file of tests has modules of its own, and so has each test here. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FIRST_MIB, openPair, type Pair } from './rehearsed-pair.ts'

let pair: Pair

beforeEach(async () => {
  vi.resetModules()
  pair = await openPair()
})

afterEach(() => pair.close())

describe('the first migration of a process', () => {
  it('is rehearsed with stand-ins of its devices, which are closed again, and the next one is not', async () => {
    const { source, destination, migrate, standIns } = pair
    const before = pair.look(source)
    const first = await migrate(source, destination)
    expect(first.owner).toBe('destination')
    // Both ends are in this process, which rehearses once.
    expect(standIns.length).toBeGreaterThanOrEqual(2)
    expect(standIns.length % 2).toBe(0)
    for (const standIn of standIns) await expect(standIn.state()).rejects.toMatchObject({ code: 'EBADF' })
    expect(pair.look(destination)).toEqual(before)
    expect(first.bytes).toBeLessThan(2 * FIRST_MIB)
    const count = standIns.length
    expect((await migrate(destination, source)).owner).toBe('destination')
    expect(standIns).toHaveLength(count)
  })

  it('is rehearsed by the receiving end, too', async () => {
    const { source, destination, migrate, receive, memoryPair, standIns } = pair
    const [here, there] = memoryPair()
    await Promise.all([migrate(source, here, { rehearse: false }), receive(destination, there)])
    expect(standIns.length).toBeGreaterThanOrEqual(2)
  })

  it('is not when it was told not to', async () => {
    const { source, destination, migrate, standIns } = pair
    expect((await migrate(source, destination, { rehearse: false })).owner).toBe('destination')
    expect(standIns).toEqual([])
  })

  it('waits for one of a device that has stand-ins', async () => {
    const { source, destination, migrate, standIns } = pair
    source.standIn = () => Promise.resolve(undefined)
    const here = { receive: { rehearse: false } }
    expect((await migrate(source, destination, here)).owner).toBe('destination')
    expect(standIns).toEqual([])
    expect((await migrate(destination, source)).owner).toBe('destination')
    expect(standIns.length).toBeGreaterThanOrEqual(2)
  })

  it('closes a stand-in whose counterpart cannot be made, and tries again with the next device', async () => {
    const { source, destination, migrate, standIns } = pair
    const make = source.standIn.bind(source)
    let asked = 0
    source.standIn = () => (++asked % 2 === 1 ? make() : Promise.reject(new Error('no memory')))
    const here = { receive: { rehearse: false } }
    expect((await migrate(source, destination, here)).owner).toBe('destination')
    expect(asked).toBe(2)
    expect(standIns).toHaveLength(1)
    await expect(standIns[0]?.state()).rejects.toMatchObject({ code: 'EBADF' })
    expect((await migrate(destination, source)).owner).toBe('destination')
    expect(standIns.length).toBeGreaterThanOrEqual(3)
  })

  it('does not wait for ever for a stand-in that hangs, and not a second time', async () => {
    const { source, destination, migrate } = pair
    let asked = 0
    source.standIn = () => {
      asked++
      return new Promise(() => {})
    }
    expect((await migrate(source, destination)).owner).toBe('destination')
    expect((await migrate(destination, source)).owner).toBe('destination')
    expect(asked).toBe(1)
  })

  it('can be canceled, and leaves no stand-in open', async () => {
    const { source, destination, migrate, standIns } = pair
    const canceling = new AbortController()
    const make = source.standIn.bind(source)
    source.standIn = async () => {
      canceling.abort(new Error('enough'))
      return make()
    }
    const { signal } = canceling
    await expect(migrate(source, destination, { signal })).rejects.toMatchObject({ code: 'ECANCELED' })
    expect(await source.state()).toBe(pair.RUNNING)
    await expect
      .poll(async () =>
        (await Promise.allSettled(standIns.map((standIn) => standIn.state()))).map(({ status }) => status),
      )
      .toEqual(standIns.map(() => 'rejected'))
  })

  it('is not without WebAssembly, where it would take seconds', async () => {
    await pair.close()
    pair = await openPair('reference')
    const { source, destination, migrate, standIns } = pair
    expect((await migrate(source, destination)).owner).toBe('destination')
    expect(standIns).toEqual([])
  })

  it('is not of devices that stand still', async () => {
    const { source, destination, migrate, standIns } = pair
    await source.setState(pair.STOP)
    expect((await migrate(source, destination, { receive: { rehearse: false } })).owner).toBe('destination')
    expect(standIns).toEqual([])
  })

  it('runs while the devices do', async () => {
    const { source, destination, migrate } = pair
    const states: number[] = []
    const make = source.standIn.bind(source)
    source.standIn = async () => {
      states.push(await source.state())
      return make()
    }
    await migrate(source, destination)
    expect(states.length).toBeGreaterThan(0)
    expect(new Set(states)).toEqual(new Set([pair.RUNNING]))
  })
})
