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

describe('DataIntake.take()', () => {
  it('gives a frame its turn when the connection before it has let go of the session, not at its last byte', async () => {
    const stream = { position: 0 }
    const intake = new DataIntake(2, async () => {})
    intake.begin([stream as IncomingStream])
    const order: string[] = []
    let letGo: (() => void) | undefined
    const first = intake.take({ index: 0, position: 0, payloadBytes: 100 } as Frame, signal, async () => {
      stream.position = 100
      await new Promise<void>((resolve) => {
        letGo = resolve
      })
      order.push('first let go')
      return 100
    })
    const second = intake.take({ index: 0, position: 100, payloadBytes: 50 } as Frame, signal, async () => {
      order.push('second begins')
      stream.position = 150
      return 50
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(order).toEqual([])
    letGo?.()
    await Promise.all([first, second])
    expect(order).toEqual(['first let go', 'second begins'])
  })
})
