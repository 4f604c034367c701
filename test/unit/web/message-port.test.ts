import { describe, expect, it } from 'vitest'
import { messagePortDuplex, type MessagePortLike } from '../../../src/web/message-port.ts'
import { codeOf, failureOf } from '../../support/pending.ts'
import { duplexSuite, finish, pattern } from '../transport/duplex-suite.ts'

function ports(): [MessagePort, MessagePort] {
  const { port1, port2 } = new MessageChannel()
  return [port1, port2]
}

duplexSuite('messagePortDuplex', async () => {
  const [here, there] = ports()
  return [messagePortDuplex(here), messagePortDuplex(there)]
})

describe('messagePortDuplex', () => {
  it('transfers the buffers of its messages, not those of the writer', async () => {
    const [here, there] = ports()
    const buffers: ArrayBuffer[] = []
    const spy: MessagePortLike = {
      postMessage: (message, transfer) => {
        buffers.push(...transfer)
        here.postMessage(message, transfer)
      },
      addEventListener: (type, listener) => here.addEventListener(type, listener),
      removeEventListener: (type, listener) => here.removeEventListener(type, listener),
      start: () => here.start(),
      close: () => here.close(),
    }
    const pair = [messagePortDuplex(spy), messagePortDuplex(there)] as const
    const chunk = pattern(3_000_000)
    await pair[0].write([chunk])
    expect(chunk).toHaveLength(3_000_000)
    expect(buffers.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0])
    await finish(pair)
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
