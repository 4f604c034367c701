/** The stream of a saving session in pieces of any size, some gathered ahead. */

import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { VfioError } from '../../../src/errors.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { SavedBytes } from '../../../src/vfio-user/saved-bytes.ts'
import { codeOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'

describe('bytes that were gathered ahead', () => {
  it('are there for a later request when one in between fails', async () => {
    const bytes = Uint8Array.from({ length: 300 }, (_value, index) => index)
    const driver = new ScriptedDriver({ bytes })
    const device = await VfioDevice.open(driver)
    const session = await device.setState(DeviceState.STOP_COPY)
    const saved = new SavedBytes(session!)
    const patience = { signal: new AbortController().signal, waitMs: 1000 }
    const taken: number[] = []
    const take = async (byteLength: number): Promise<void> => {
      const gathered = await saved.take(byteLength, patience)
      for (const chunk of gathered.chunks) taken.push(...chunk)
      await gathered.release()
    }
    await take(100)
    saved.prepare(100, patience)
    await take(40)
    expect(saved.unsentBytes).toBe(60)
    driver.save!.failure = new VfioError('EIO', 'Cannot read: as told')
    expect(await codeOf(() => take(100))).toBe('EIO')
    driver.save!.failure = undefined
    await take(100)
    driver.save!.failure = new VfioError('EIO', 'Cannot read: as told')
    saved.prepare(100, patience)
    expect(await codeOf(() => take(100))).toBe('EIO')
    driver.save!.failure = undefined
    await take(100)
    expect(taken).toEqual([...bytes])
    await device.close()
  })
})
