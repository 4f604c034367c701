import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { ByteSink, ByteSource } from '../../../src/transport/byte-stream.ts'
import {
  type LeaseSession,
  pumpFromSource,
  pumpToSink,
  type TransferProgress,
} from '../../../src/transport/pump.ts'
import { codeOf, turn } from '../../support/pending.ts'

const MIB = 1024 * 1024

/** A session of `total` bytes in leases of at most `leaseBytes`, that counts what is out. */
class CountingSession implements LeaseSession {
  readonly #ending = new AbortController()
  readonly ended: AbortSignal = this.#ending.signal
  /** Lengths of leases out, oldest first. */
  readonly out: number[] = []
  mostOut = 0
  released = 0
  /** Thrown by the next leases, before they go on. */
  refusals: VfioError[] = []
  waits = 0
  readonly #memory: Uint8Array
  #left: number

  constructor(total: number, leaseBytes = 65_536) {
    this.#left = total
    this.#memory = new Uint8Array(leaseBytes)
  }

  lease(maxBytes: number): Uint8Array {
    const refusal = this.refusals.shift()
    if (refusal !== undefined) throw refusal
    const bytes = this.#memory.subarray(0, Math.min(maxBytes, this.#left, this.#memory.length))
    this.#left -= bytes.length
    if (bytes.length > 0) this.out.push(bytes.length)
    this.mostOut = Math.max(
      this.mostOut,
      this.out.reduce((total, length) => total + length, 0),
    )
    return bytes
  }

  release(): void {
    this.released += this.out.shift() as number
  }

  async ready(): Promise<number> {
    this.waits++
    return 1
  }

  end(error: VfioError): void {
    this.#ending.abort(error)
  }
}

function sinkOf(write: (chunks: Uint8Array[]) => void | Promise<void>): ByteSink {
  return { write, close: () => {}, abort: () => {} }
}

const again = (): VfioError => new VfioError('EAGAIN', 'Cannot lease: not yet')
const nomsg = (): VfioError => new VfioError('ENOMSG', 'Cannot lease: nothing now')

const windowSession = (bytes: number[], windowBytes = 8) => {
  const memory = new Uint8Array(windowBytes)
  const ending = new AbortController()
  return {
    memory,
    ending,
    ended: ending.signal,
    commits: [] as number[],
    window: (maxBytes: number) => memory.subarray(0, maxBytes),
    commit(byteLength: number) {
      this.commits.push(byteLength)
      bytes.push(...memory.subarray(0, byteLength))
    },
  }
}
const sourceOf = (bytes: Uint8Array, most = Infinity): ByteSource => {
  let at = 0
  return {
    byteLength: bytes.length,
    read(dst) {
      const part = bytes.subarray(at, at + Math.min(dst.length, most))
      dst.set(part)
      at += part.length
      return part.length
    },
    cancel: () => {},
  }
}
const stuckSource = () => {
  const canceled: unknown[] = []
  return {
    canceled,
    read: () => new Promise<number>(() => {}),
    cancel: (reason: unknown) => void canceled.push(reason),
  }
}

describe('pumpToSink', () => {
  it('holds at most one write and the next of a 1 GiB stream while the sink sleeps', async () => {
    const session = new CountingSession(1024 * MIB)
    let taken = 0
    const sink = sinkOf(async (chunks) => {
      const before = session.released
      await new Promise((resolve) => setTimeout(resolve, 0))
      expect(session.released).toBe(before)
      for (const { length } of chunks) taken += length
    })
    expect(await pumpToSink(session, sink)).toBe(1024 * MIB)
    expect(taken).toBe(1024 * MIB)
    expect(session.mostOut).toBe(2 * MIB)
    expect(session.released).toBe(1024 * MIB)
  })

  it('gathers small leases into one write, as many as one writev takes', async () => {
    const session = new CountingSession(5000 * 40, 40)
    const writes: number[] = []
    await pumpToSink(
      session,
      sinkOf((chunks) => void writes.push(chunks.length)),
    )
    expect(writes).toEqual([1024, 1024, 1024, 1024, 904])
  })

  it('writes what it has at EAGAIN and ENOMSG, and waits only when it has nothing', async () => {
    const session = new CountingSession(100_000, 1000)
    const writes: number[] = []
    session.refusals = [again(), nomsg()]
    const sink = sinkOf((chunks) => {
      writes.push(chunks.length)
      if (writes.length === 1) session.refusals = [again()]
    })
    const lease = session.lease.bind(session)
    let calls = 0
    session.lease = (maxBytes) => {
      if (++calls === 6) throw again()
      return lease(maxBytes)
    }
    await pumpToSink(session, sink)
    expect(writes.reduce((total, count) => total + count, 0)).toBe(100)
    expect(writes[0]).toBe(3)
    // The third refusal came during a write: the pump waited for that.
    expect(session.waits).toBe(2)
  })

  it('rejects with the error of the session when it ends during a write, and releases after the write', async () => {
    const session = new CountingSession(MIB)
    let finishWrite!: () => void
    const sink = sinkOf(
      () =>
        new Promise((resolve) => {
          finishWrite = resolve
        }),
    )
    const pumping = pumpToSink(session, sink)
    const failing = expect(pumping).rejects.toMatchObject({ code: 'ENODEV' })
    await new Promise((resolve) => setTimeout(resolve, 0))
    session.end(new VfioError('ENODEV', 'Cannot use the data session: the device was reset'))
    await failing
    expect(session.released).toBe(0)
    finishWrite()
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(session.released).toBe(MIB)
  })

  it('releases a lease that comes after the transfer was canceled', async () => {
    let grant!: (bytes: Uint8Array) => void
    let released = 0
    const session: LeaseSession = {
      lease: () => new Promise((resolve) => (grant = resolve)),
      release: () => void released++,
    }
    const canceling = new AbortController()
    const pumping = pumpToSink(
      session,
      sinkOf(() => {}),
      { signal: canceling.signal },
    )
    const failing = expect(pumping).rejects.toMatchObject({ code: 'ECANCELED' })
    await new Promise((resolve) => setTimeout(resolve, 0))
    canceling.abort()
    await failing
    expect(released).toBe(0)
    grant(new Uint8Array(10))
    await new Promise((resolve) => setTimeout(resolve, 0))
    expect(released).toBe(1)
  })

  it('releases all leases when the sink or the session fails', async () => {
    const refused = new Error('disk full')
    const first = new CountingSession(MIB)
    await expect(
      pumpToSink(
        first,
        sinkOf(() => Promise.reject(refused)),
      ),
    ).rejects.toBe(refused)
    expect(first.out).toEqual([])
    const second = new CountingSession(MIB)
    const lease = second.lease.bind(second)
    second.lease = (maxBytes) => {
      if (second.out.length === 3) throw new VfioError('EIO', 'Cannot lease: broken')
      return lease(maxBytes)
    }
    await expect(
      pumpToSink(
        second,
        sinkOf(() => {}),
      ),
    ).rejects.toMatchObject({ code: 'EIO' })
    expect(second.out).toEqual([])
    expect(second.released).toBe(3 * 65_536)
  })

  it('is ECANCELED with the reason as its cause, before the first lease, between chunks and during a write', async () => {
    const reason = new Error('enough')
    const untouched = new CountingSession(MIB)
    const before = pumpToSink(
      untouched,
      sinkOf(() => {}),
      { signal: AbortSignal.abort(reason) },
    )
    await expect(before).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
    expect(untouched.mostOut).toBe(0)

    const between = new AbortController()
    let writes = 0
    const counting = sinkOf(() => void (++writes === 2 && between.abort(reason)))
    const pumped = pumpToSink(new CountingSession(10 * MIB), counting, { signal: between.signal })
    await expect(pumped).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
    expect(writes).toBe(2)

    const during = new AbortController()
    const stuck = pumpToSink(
      new CountingSession(MIB),
      sinkOf(() => new Promise(() => {})),
      {
        signal: during.signal,
      },
    )
    setTimeout(() => during.abort(reason), 0)
    await expect(stuck).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
  })

  it('reports progress after each write', async () => {
    const reports: TransferProgress[] = []
    await pumpToSink(
      new CountingSession(2.5 * MIB),
      sinkOf(() => {}),
      {
        onProgress: (progress) => reports.push(progress),
        totalBytes: 3 * MIB,
      },
    )
    expect(reports.map(({ bytes }) => bytes)).toEqual([MIB, 2 * MIB, 2.5 * MIB])
    expect(reports.every(({ totalBytes, elapsedMs }) => totalBytes === 3 * MIB && elapsedMs >= 0)).toBe(true)
  })

  it('does not cut a piece in two that ends a little above 1 MiB', async () => {
    const pieces = Array.from({ length: 5 }, () => [40, 256 * 1024]).flat()
    const writes: number[][] = []
    const session = {
      lease: (maxBytes: number) => new Uint8Array(Math.min(maxBytes, pieces.shift() ?? 0)),
      release: () => {},
    }
    await pumpToSink(
      session,
      sinkOf((chunks) => {
        writes.push(chunks.map(({ length }) => length))
      }),
    )
    expect(writes).toEqual([Array.from({ length: 4 }, () => [40, 256 * 1024]).flat(), [40, 256 * 1024]])
  })

  it('lets the event loop turn while session and sink are synchronous', async () => {
    const session = new CountingSession(100 * MIB, MIB)
    let turns = 0
    const timer = setInterval(() => turns++, 0)
    // 2 ms of work per chunk: 200 ms in all, so 20 turns when one is made each 10 ms.
    const busy = sinkOf(() => {
      const untilMs = performance.now() + 2
      while (performance.now() < untilMs);
    })
    await pumpToSink(session, busy)
    clearInterval(timer)
    expect(turns).toBeGreaterThan(8)
  })
})

/** A source of `lengths`, which notes how many leases are out at the most and which were released. */
function leasing(lengths: number[]) {
  const source = {
    out: 0,
    mostOut: 0,
    read: () => 0,
    lease: () => {
      const length = lengths.shift() ?? 0
      if (length > 0) source.mostOut = Math.max(source.mostOut, ++source.out)
      return new Uint8Array(length)
    },
    release: () => {
      source.out--
    },
    cancel: () => {},
  }
  return source
}

describe('pumpFromSource of a source that leases', () => {
  it('releases each lease as soon as the session has read it, and all in the end', async () => {
    const source = leasing([10, 20, 30])
    const absorbed: number[] = []
    const session = {
      ...windowSession([]),
      absorb: (src: Uint8Array) => {
        absorbed.push(src.length)
        return { byteLength: Math.min(src.length, 16) }
      },
    }
    expect(await pumpFromSource(source, session)).toBe(60)
    expect(absorbed).toEqual([10, 20, 4, 30, 14])
    expect([source.mostOut, source.out]).toEqual([1, 0])
  })

  it('keeps a lease that is still read, goes on with the next, and waits for all at the end', async () => {
    const source = leasing([10, 20, 30])
    const ends: (() => void)[] = []
    const session = {
      ...windowSession([]),
      absorb: (src: Uint8Array) => {
        const reading = { settled: false, wait: () => done }
        const done = new Promise<void>((resolve) => {
          ends.push(() => {
            reading.settled = true
            resolve()
          })
        })
        return { byteLength: src.length, reading }
      },
    }
    const pumped = pumpFromSource(source, session)
    await turn()
    expect([ends.length, source.out]).toEqual([3, 3])
    // The second alone frees nothing: leases go back oldest first.
    ends[1]!()
    ends[0]!()
    await turn()
    ends[2]!()
    expect(await pumped).toBe(60)
    expect(source.out).toBe(0)
  })

  it('releases what was leased when the session refuses it', async () => {
    const source = leasing([10, 20])
    const session = {
      ...windowSession([]),
      absorb: () => {
        throw new VfioError('EBADMSG', 'Cannot write: no')
      },
    }
    expect(await codeOf(() => pumpFromSource(source, session))).toBe('EBADMSG')
    expect(source.out).toBe(0)
  })
})

describe('pumpFromSource', () => {
  it('reads into windows to the end of the source, and gives the last window back', async () => {
    const bytes: number[] = []
    const target = windowSession(bytes)
    const data = Uint8Array.from({ length: 21 }, (_, index) => index)
    const reports: TransferProgress[] = []
    const total = await pumpFromSource(sourceOf(data, 5), target, {
      onProgress: (progress) => reports.push(progress),
    })
    expect(total).toBe(21)
    expect(bytes).toEqual([...data])
    expect(target.commits).toEqual([5, 5, 5, 5, 1, 0])
    expect(reports.at(-1)).toMatchObject({ bytes: 21, totalBytes: 21 })
  })

  it('commits the same bytes again after EAGAIN', async () => {
    const bytes: number[] = []
    const target = windowSession(bytes)
    const commit = target.commit.bind(target)
    let refusals = 2
    const slow = {
      ...target,
      commit(byteLength: number) {
        if (refusals-- > 0) throw new VfioError('EAGAIN', 'Cannot commit: not yet')
        commit(byteLength)
      },
      ready: () => Promise.resolve(4),
    }
    expect(await pumpFromSource(sourceOf(Uint8Array.of(1, 2, 3)), slow)).toBe(3)
    expect(bytes).toEqual([1, 2, 3])
  })

  it('cancels a source that is stuck, in the listener of the end of the session', async () => {
    const source = stuckSource()
    const target = windowSession([])
    const pumping = pumpFromSource(source, target)
    const failing = expect(pumping).rejects.toMatchObject({ code: 'ENODEV' })
    await new Promise((resolve) => setTimeout(resolve, 0))
    target.ending.abort(new VfioError('ENODEV', 'Cannot use the data session: the device was reset'))
    expect(source.canceled).toHaveLength(1)
    await failing
    expect(target.commits).toEqual([])
  })

  it('is ECANCELED while the source is stuck', async () => {
    const source = stuckSource()
    const controller = new AbortController()
    const reason = new Error('enough')
    const pumping = pumpFromSource(source, windowSession([]), { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 0)
    await expect(pumping).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
    expect(source.canceled).toHaveLength(1)
  })

  it('rejects with what the session refuses', async () => {
    const target = windowSession([])
    const refusal = new VfioError('EBADMSG', 'Cannot read migration stream: payload checksum does not match')
    const refusing = {
      ...target,
      commit: () => {
        throw refusal
      },
    }
    await expect(pumpFromSource(sourceOf(Uint8Array.of(1)), refusing)).rejects.toBe(refusal)
  })

  it('takes away its listeners', async () => {
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    await pumpFromSource(sourceOf(new Uint8Array(100)), windowSession([]), { signal })
    await pumpToSink(
      new CountingSession(MIB),
      sinkOf(() => {}),
      { signal },
    )
    expect(listeners).toBe(0)
  })
})
