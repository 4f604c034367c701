import { describe, expect, it } from 'vitest'
import { messagePortDuplex, type MessagePortLike } from '../../../src/web/message-port.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { duplexSuite, finish, pattern } from '../transport/duplex-suite.ts'

function ports(): [MessagePort, MessagePort] {
  const { port1, port2 } = new MessageChannel()
  return [port1, port2]
}

/** A port that tells what is transferred, before it is. */
function spied(port: MessagePort, transferred: (buffers: ArrayBuffer[]) => void): MessagePortLike {
  return {
    postMessage: (message, transfer) => {
      transferred(transfer)
      port.postMessage(message, transfer)
    },
    addEventListener: (type, listener) => port.addEventListener(type, listener),
    removeEventListener: (type, listener) => port.removeEventListener(type, listener),
    start: () => port.start(),
    close: () => port.close(),
  }
}

duplexSuite('messagePortDuplex', async () => {
  const [here, there] = ports()
  return [messagePortDuplex(here), messagePortDuplex(there)]
})

describe('messagePortDuplex', () => {
  it('transfers the buffers of its messages, not those of the writer', async () => {
    const [here, there] = ports()
    const buffers: ArrayBuffer[] = []
    const spy = spied(here, (transferred) => buffers.push(...transferred))
    const pair = [messagePortDuplex(spy), messagePortDuplex(there)] as const
    const chunk = pattern(3_000_000)
    await pair[0].write([chunk])
    expect(chunk).toHaveLength(3_000_000)
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0])
    await finish(pair)
  })

  it('fills the buffers that the other end has read again, and makes few', async () => {
    const [here, there] = ports()
    let given = 0
    let made = 0
    const cameBack = new WeakSet<ArrayBuffer>()
    const spy = spied(here, (buffers) => {
      given += buffers.length
      made += buffers.filter((buffer) => !cameBack.has(buffer)).length
    })
    here.addEventListener('message', ({ data }) => {
      for (const buffer of (data as { spent?: ArrayBuffer[] }).spent ?? []) cameBack.add(buffer)
    })
    const pair = [messagePortDuplex(spy), messagePortDuplex(there)] as const
    const chunk = pattern(1024 * 1024)
    const copy = new Uint8Array(chunk.length)
    for (let round = 0; round < 40; round++) {
      await pair[0].write([chunk])
      for (let at = 0; at < copy.length;) at += await pair[1].read(copy.subarray(at))
      expect(Buffer.from(copy.buffer).equals(chunk)).toBe(true)
      copy.fill(0)
    }
    expect(given).toBe(40)
    expect(made).toBeLessThanOrEqual(8)
    await finish(pair)
  })

  it('keeps nothing of what a peer calls spent but buffers of its own size', async () => {
    const [here, there] = ports()
    const sizes: number[] = []
    const duplex = messagePortDuplex(
      spied(here, (buffers) => sizes.push(...buffers.map((b) => b.byteLength))),
    )
    const buffers = Array.from({ length: 20 }, () => new ArrayBuffer(16))
    there.postMessage({ spent: [...buffers, 'x', null, 5] }, buffers)
    const other = messagePortDuplex(there)
    const chunk = pattern(600_000)
    const copy = new Uint8Array(chunk.length)
    await duplex.write([chunk])
    for (let at = 0; at < copy.length;) at += await other.read(copy.subarray(at))
    expect(Buffer.from(copy.buffer).equals(chunk)).toBe(true)
    expect(sizes).toEqual([1024 * 1024])
    await finish([duplex, other])
  })

  it('fills eight of the buffers that came back, however many a peer gives', async () => {
    const [here, there] = ports()
    const mark = 0xee
    const marked: boolean[] = []
    const look = (sent: ArrayBuffer[]): void => {
      for (const buffer of sent) marked.push(new Uint8Array(buffer).at(-1) === mark)
    }
    const windowBytes = 32 * 1024 * 1024
    const duplex = messagePortDuplex(spied(here, look), { windowBytes })
    // A peer that takes all and gives nothing back but these.
    there.start()
    const buffers = Array.from({ length: 20 }, () => new Uint8Array(1024 * 1024).fill(mark).buffer)
    there.postMessage({ spent: buffers }, buffers)
    there.postMessage(`open 1 ${windowBytes} 1048576`, [])
    await duplex.open?.()
    for (let round = 0; round < 20; round++) await duplex.write([pattern(600_000)])
    expect(marked).toHaveLength(20)
    expect(marked.filter(Boolean)).toHaveLength(8)
    await duplex.abort('done')
    there.close()
  })

  it('is EPROTO when a short message comes with more memory than one may have', async () => {
    const [here, there] = ports()
    const duplex = messagePortDuplex(here)
    const other = messagePortDuplex(there)
    await other.open?.()
    const reading = failureOf(() => duplex.read(new Uint8Array(1)))
    const { buffer } = new Uint8Array(2 ** 24)
    there.postMessage(new Uint8Array(buffer, 0, 1024), [buffer])
    expect((await reading).message).toMatch(/its buffer has more than the 1048576 bytes agreed on/)
    await other.abort('done')
  })

  it('is EPIPE when the other port is closed', async () => {
    const [here, there] = ports()
    const duplex = messagePortDuplex(here)
    const reading = failureOf(() => duplex.read(new Uint8Array(1)))
    there.close()
    expect((await reading).code).toBe('EPIPE')
    expect(await codeOf(() => duplex.open!())).toBe('EPIPE')
  })

  it('is EPROTO when a message cannot be deserialised or is none of ours', async () => {
    const [here, there] = ports()
    const duplex = messagePortDuplex(here)
    const reading = failureOf(() => duplex.read(new Uint8Array(1)))
    there.postMessage({ bytes: 1 }, [])
    expect((await reading).code).toBe('EPROTO')
    const [near] = ports()
    const other = messagePortDuplex(near)
    near.dispatchEvent(new Event('messageerror'))
    expect(await codeOf(() => other.read(new Uint8Array(1)))).toBe('EPROTO')
  })

  it('leaves the scope of a worker open, without its listeners', async () => {
    const listeners = new Set<unknown>()
    let isClosed = false
    const scope: MessagePortLike = {
      postMessage: () => {},
      addEventListener: (_, listener) => void listeners.add(listener),
      removeEventListener: (_, listener) => void listeners.delete(listener),
      close: () => {
        isClosed = true
      },
    }
    const duplex = messagePortDuplex(scope)
    expect(listeners.size).toBe(3)
    await duplex.abort('done')
    expect([isClosed, listeners.size]).toEqual([false, 0])
  })
})
