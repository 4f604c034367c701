import { describe, expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import type { SaveEnd } from '../../../src/session/session-end.ts'
import { STREAM_CHUNK_BYTES, STREAM_HELD_BYTES } from '../../../src/session/web-streams.ts'
import { POLLIN } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { openTestSession } from '../../support/open-test-session.ts'
import { codeOf, turn } from '../../support/pending.ts'
import { ScriptedResume, ScriptedSave } from '../../support/scripted-driver.ts'

const { PRE_COPY, RESUMING, STOP_COPY } = DeviceState

function saving(bytes: Uint8Array, state: DeviceState) {
  const end = new ScriptedSave(bytes, { rawEnd: true })
  const handle = openTestSession(end, state)
  return { end, handle, session: handle.session }
}

function resuming() {
  const end = new ScriptedResume()
  const handle = openTestSession(end, RESUMING)
  return { end, handle, session: handle.session, writer: handle.session.writable().getWriter() }
}

describe('DataSession.readable', () => {
  it('gives owned chunks and closes at the permanent end, not the session', async () => {
    const { session } = saving(
      Uint8Array.from({ length: 600_000 }, (_, i) => i),
      STOP_COPY,
    )
    const chunks: Uint8Array[] = []
    for await (const chunk of session.readable()) chunks.push(chunk)
    expect(chunks.map((chunk) => chunk.length)).toEqual([STREAM_CHUNK_BYTES, STREAM_CHUNK_BYTES, 75_712])
    expect(chunks[2]!.buffer.byteLength).toBe(75_712)
    expect(chunks[1]![3]).toBe((STREAM_CHUNK_BYTES + 3) & 0xff)
    expect(session.closed).toBe(false)
  })

  it('stays open across ENOMSG, also when the driver shows it as 0, and goes on into STOP_COPY', async () => {
    const { session, end, handle } = saving(Uint8Array.of(1, 2), PRE_COPY)
    const reader = session.readable().getReader()
    expect([...(await reader.read()).value!]).toEqual([1, 2])
    const second = reader.read()
    await turn()
    end.push(Uint8Array.of(3))
    expect([...(await second).value!]).toEqual([3])
    const last = reader.read()
    await turn()
    handle.device.state = STOP_COPY
    handle.wake()
    expect((await last).done).toBe(true)
  })

  it('does not spin on a driver whose poll is always readable', async () => {
    const { session, end } = saving(new Uint8Array(0), PRE_COPY)
    end.poll = () => POLLIN
    const read = session.readable().getReader().read()
    await turn()
    await turn()
    expect(end.reads).toBe(1)
    end.push(Uint8Array.of(1))
    expect((await read).value?.length).toBe(1)
  })

  it('waits while an arc is under way, and fails with ENODEV when that ends the session', async () => {
    const { session, handle } = saving(Uint8Array.of(1, 2), STOP_COPY)
    const letGo = handle.hold()
    const read = session.readable().getReader().read()
    await turn()
    handle.terminate('the device left STOP_COPY')
    letGo()
    expect(await codeOf(() => read)).toBe('ENODEV')
  })

  it('fails with ENODEV when the session ends before the permanent end, and with the driver error', async () => {
    const ended = saving(new Uint8Array(0), PRE_COPY)
    const read = ended.session.readable().getReader().read()
    ended.handle.terminate('the device left PRE_COPY')
    expect(await codeOf(() => read)).toBe('ENODEV')
    const failed = saving(Uint8Array.of(1), STOP_COPY)
    failed.end.failure = new VfioError('EIO', 'Cannot read: broken')
    expect(await codeOf(() => failed.session.readable().getReader().read())).toBe('EIO')
  })

  it('cancel closes the session, also while it waits', async () => {
    const { session } = saving(new Uint8Array(0), PRE_COPY)
    const reader = session.readable().getReader()
    const read = reader.read()
    await reader.cancel('enough')
    expect((await read).done).toBe(true)
    expect(session.closed).toBe(true)
  })

  it('a sink that sleeps holds at most STREAM_HELD_BYTES of a 1 GiB stream', async () => {
    const total = 2 ** 30
    const end = new EndlessEnd(total)
    const { session } = openTestSession(end)
    let finished = 0
    let held = 0
    let sleeps = 0
    const look = (): void => {
      held = Math.max(held, end.bytesRead - finished)
    }
    end.onRead = look
    const sink = new WritableStream<Uint8Array>({
      async write(chunk) {
        look()
        if (sleeps++ % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
        look()
        finished += chunk.length
      },
    })
    await session.readable().pipeTo(sink)
    expect(finished).toBe(total)
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThanOrEqual(STREAM_HELD_BYTES)
  })

  it('reads nothing before someone asks', async () => {
    const { session, end } = saving(Uint8Array.of(1), STOP_COPY)
    session.readable()
    await turn()
    expect(end.reads).toBe(0)
  })
})

describe('DataSession.writable', () => {
  it('writes all chunks; closing it neither closes nor ends the session', async () => {
    const { session, end, writer } = resuming()
    await writer.write(Uint8Array.of(1, 2))
    await writer.write(Uint8Array.of(3))
    await writer.close()
    expect(end.taken).toEqual([1, 2, 3])
    expect([session.closed, session.ended.aborted, end.ended]).toEqual([false, false, 0])
  })

  it('waits out EAGAIN until the driver wakes it', async () => {
    const { end, writer } = resuming()
    end.failNext = new VfioError('EAGAIN', 'Cannot write: full')
    const write = writer.write(Uint8Array.of(7))
    await turn()
    expect(end.taken).toEqual([])
    end.wake()
    await write
    expect(end.taken).toEqual([7])
  })

  it('fails with the error of the write, and with ENODEV after the end', async () => {
    const refused = resuming()
    refused.end.failNext = new VfioError('EBADMSG', 'Cannot write: damaged')
    refused.writer.closed.catch(() => {})
    expect(await codeOf(() => refused.writer.write(Uint8Array.of(1)))).toBe('EBADMSG')
    const ended = resuming()
    ended.writer.closed.catch(() => {})
    ended.handle.terminate('the device was reset')
    expect(await codeOf(() => ended.writer.write(Uint8Array.of(1)))).toBe('ENODEV')
  })

  it.each(['text', new ArrayBuffer(4), new Uint16Array(2)])(
    'refuses a chunk that is no bytes %#',
    async (chunk) => {
      const { writer, end } = resuming()
      writer.closed.catch(() => {})
      expect(await codeOf(() => writer.write(chunk as never))).toBe('EINVAL')
      expect(end.writes).toBe(0)
    },
  )

  it('abort closes the session', async () => {
    const { session, writer } = resuming()
    writer.closed.catch(() => {})
    await writer.abort('enough')
    expect(session.closed).toBe(true)
  })

  it('a pipe from one device to another carries all bytes', async () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i * 7)
    const source = saving(bytes, STOP_COPY)
    const target = new ScriptedResume()
    const { session } = openTestSession(target, RESUMING)
    await source.session.readable().pipeTo(session.writable())
    expect(Uint8Array.from(target.taken)).toEqual(bytes)
  })
})

/** Delivers `total` bytes without making them up one by one. */
class EndlessEnd implements SaveEnd {
  readonly direction = 'save'
  bytesRead = 0
  onRead: () => void = () => {}
  readonly #total: number
  constructor(total: number) {
    this.#total = total
  }
  read(dst: Uint8Array): number {
    const byteLength = Math.min(dst.length, this.#total - this.bytesRead)
    this.bytesRead += byteLength
    this.onRead()
    return byteLength
  }
  poll(): number {
    return POLLIN
  }
  end(): void {}
}
