import { describe, expect, it } from 'vitest'
import type { Frame } from '../../../../src/migrate/handover/frame-reader.ts'
import { DataIntake } from '../../../../src/migrate/receive/data-intake.ts'
import type { IncomingStream } from '../../../../src/migrate/receive/incoming-stream.ts'

const signal = new AbortController().signal

describe('DataIntake.allCame()', () => {
  it('waits for a frame whose bytes are there but whose connection still holds the session', async () => {
    const stream = { position: 0 }
    const intake = new DataIntake(3, async () => {})
    intake.begin([stream as IncomingStream])
    const frame = { index: 0, position: 0, payloadBytes: 100 } as Frame
    const order: string[] = []
    let finish: (() => void) | undefined
    const taking = intake.take(frame, signal, async () => {
      stream.position = 100
      await new Promise<void>((resolve) => {
        finish = resolve
      })
      order.push('taken')
      return 100
    })
    await new Promise((resolve) => setImmediate(resolve))
    const came = intake.allCame([{ bytes: 100 }], signal).then(() => order.push('came'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(order).toEqual([])
    finish?.()
    await Promise.all([taking, came])
    expect(order).toEqual(['taken', 'came'])
  })
})
