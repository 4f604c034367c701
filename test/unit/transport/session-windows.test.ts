import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { ByteSource, ByteWindows } from '../../../src/transport/byte-stream.ts'
import { pumpFromSource } from '../../../src/transport/pump.ts'
import { SessionWindows } from '../../../src/transport/session-windows.ts'
import { codeOf, turn } from '../../support/pending.ts'

const again = (): VfioError => new VfioError('EAGAIN', 'Cannot write: not yet')

/** A session with windows of 4 bytes that takes bytes; `refuse` is thrown by the next calls, in order. */
class TakingSession {
  readonly bytes: number[] = []
  readonly refuse: { window: unknown[]; commit: unknown[] } = { window: [], commit: [] }
  isOut = false
  waits = 0
  isAsync = false
  readonly #memory = new Uint8Array(4)

  window(maxBytes: number): Uint8Array | Promise<Uint8Array> {
    const refusal = this.refuse.window.shift()
    if (refusal !== undefined) throw refusal
    if (this.isOut) throw new VfioError('EBUSY', 'Cannot open a window: one is out')
    this.isOut = true
    const window = this.#memory.subarray(0, maxBytes)
    return this.isAsync ? turn().then(() => window) : window
  }

  commit(byteLength: number): void | Promise<void> {
    const refusal = this.refuse.commit.shift()
    if (refusal !== undefined) throw refusal
    this.isOut = false
    this.bytes.push(...this.#memory.subarray(0, byteLength))
    return this.isAsync ? turn() : undefined
  }

  async ready(): Promise<number> {
    this.waits++
    return 4
  }
}

/** Gives `bytes` in reads of at most 3, into windows only. */
function windowSource(bytes: number[]): ByteSource & { canceled: unknown } {
  let at = 0
  return {
    canceled: undefined,
    async readInto(windows: ByteWindows) {
      for (;;) {
        await turn()
        const window = windows.window(3)
        if (window.length === 0) return false
        if (at === bytes.length) return true
        const part = bytes.slice(at, at + window.length)
        window.set(part)
        at += part.length
        windows.commit(part.length)
      }
    },
    read: () => 0,
    cancel(reason) {
      this.canceled = reason
    },
  }
}

const BYTES = Array.from({ length: 50 }, (_, i) => i)

describe('a source that reads into windows', () => {
  it('is pumped into the session, and the window that is out at the end is given back', async () => {
    const session = new TakingSession()
    const seen: number[] = []
    const options = { onProgress: ({ bytes }: { bytes: number }) => seen.push(bytes) }
    expect(await pumpFromSource(windowSource(BYTES), session, options)).toBe(50)
    expect(session.bytes).toEqual(BYTES)
    expect(session.isOut).toBe(false)
    expect(seen.at(-1)).toBe(50)
  })

  it('stops while the session is not ready, and goes on without losing a byte', async () => {
    const session = new TakingSession()
    session.refuse.window.push(undefined, again(), undefined, again())
    session.refuse.commit.push(undefined, again(), again())
    expect(await pumpFromSource(windowSource(BYTES), session)).toBe(50)
    expect(session.bytes).toEqual(BYTES)
    expect(session.waits).toBeGreaterThan(0)
  })

  it('waits for a session whose calls are promises', async () => {
    const session = new TakingSession()
    session.isAsync = true
    expect(await pumpFromSource(windowSource(BYTES), session)).toBe(50)
    expect(session.bytes).toEqual(BYTES)
  })

  it('passes on what the session refuses for good', async () => {
    for (const call of ['window', 'commit'] as const) {
      const session = new TakingSession()
      session.refuse[call].push(undefined, new VfioError('EBADMSG', 'Cannot read: damaged'))
      expect(await codeOf(() => pumpFromSource(windowSource(BYTES), session))).toBe('EBADMSG')
    }
  })

  it('is canceled by the signal of the transfer', async () => {
    const controller = new AbortController()
    const source = windowSource(BYTES)
    source.readInto = () => new Promise(() => {})
    const pumping = pumpFromSource(source, new TakingSession(), { signal: controller.signal })
    await turn()
    controller.abort(new Error('enough'))
    expect(await codeOf(() => pumping)).toBe('ECANCELED')
    expect(VfioError.is(source.canceled, 'ECANCELED')).toBe(true)
  })
})

describe('the windows of a session', () => {
  it('take no notice of an empty commit, and close without one', async () => {
    const session = new TakingSession()
    const windows = new SessionWindows(session, () => {})
    windows.commit(0)
    await windows.close()
    expect(session.bytes).toEqual([])
    await windows.open()
    expect(windows.window(2)).toHaveLength(2)
    await windows.close()
    expect(session.isOut).toBe(false)
  })
})
