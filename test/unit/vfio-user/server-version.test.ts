/** VERSION: what is agreed on, what is refused, how long a reply may be (facts 3). */

import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/index.ts'
import {
  leave,
  QEMU_CAPABILITIES,
  serveRaw,
  u32,
  versionPayload,
  wireMessage,
} from '../../support/vfio-user-wire.ts'

const VERSION = 1

async function mtty(): Promise<VfioDevice> {
  return VfioDevice.open(createMtty())
}

/** The JSON of a reply's payload. */
function jsonOf(payload: Buffer): unknown {
  expect(payload.at(-1), 'a NUL at the end').toBe(0)
  return JSON.parse(payload.subarray(4, -1).toString())
}

describe('VERSION', () => {
  it('QEMU is answered version 0.0 in no more bytes than it sent', async () => {
    const served = serveRaw(await mtty())
    const request = versionPayload(QEMU_CAPABILITIES, 0)
    expect(request.length).toBe(198)
    const reply = await served.client.call(VERSION, request)
    expect(reply.flags).toBe(1)
    expect(reply.payload.length).toBeLessThanOrEqual(request.length)
    expect(reply.payload.readUInt16LE(2)).toBe(0)
    expect(jsonOf(reply.payload)).toEqual({
      capabilities: { max_msg_fds: 1, max_data_xfer_size: 1048576, migration: { pgsize: 4096 } },
    })
    await leave(served)
  })

  it.each([
    [0, 0],
    [1, 1],
    [2, 2],
    [9, 2],
  ])('the minor version of a client with 0.%i is %i', async (theirs, agreed) => {
    const served = serveRaw(await mtty())
    const payload = await served.client.ok(VERSION, versionPayload('{}', theirs))
    expect(payload.readUInt16LE(0)).toBe(0)
    expect(payload.readUInt16LE(2)).toBe(agreed)
    await leave(served)
  })

  it('the quirk echoMinor gives back a minor version that is higher than ours', async () => {
    const served = serveRaw(await mtty(), { quirks: { echoMinor: true } })
    expect((await served.client.ok(VERSION, versionPayload('{}', 9))).readUInt16LE(2)).toBe(9)
    await leave(served)
  })

  it.each([undefined, '{}', '{"capabilities":{}}', '{"other":1}', '{"capabilities":{"other":[]}}'])(
    'JSON %s is fine, and the reply has capabilities',
    async (json) => {
      const served = serveRaw(await mtty())
      expect(jsonOf(await served.client.ok(VERSION, versionPayload(json)))).toHaveProperty('capabilities')
      await leave(served)
    },
  )

  it('a client that sends stopcopy is told who the device is', async () => {
    const device = await mtty()
    const served = serveRaw(device)
    const reply = jsonOf(await served.client.ok(VERSION, versionPayload('{"capabilities":{"stopcopy":{}}}')))
    expect(reply).toMatchObject({
      capabilities: {
        max_msg_fds: 1,
        stopcopy: {
          type: 'mtty',
          version: 1,
          stream: 'opaque',
          fingerprint: Buffer.from(device.identity.fingerprint).toString('hex'),
        },
      },
    })
    await leave(served)
  })

  it('capabilities that do not fit versionReplyBytes are left out, the last ones first', async () => {
    const served = serveRaw(await mtty(), { quirks: { versionReplyBytes: 90 } })
    const reply = await served.client.ok(VERSION, versionPayload('{}'))
    expect(reply.length + 16).toBeLessThanOrEqual(90)
    expect(jsonOf(reply)).toEqual({ capabilities: { max_msg_fds: 1, max_data_xfer_size: 1048576 } })
    await leave(served)
  })

  it.each<[string, Buffer]>([
    ['no payload', Buffer.alloc(0)],
    ['3 bytes', Buffer.alloc(3)],
    ['another major version', versionPayload('{}', 0, 1)],
    ['JSON without a NUL', versionPayload('{}').subarray(0, -1)],
    ['no JSON', versionPayload('{')],
    ['a list', versionPayload('[]')],
    ['capabilities that are a list', versionPayload('{"capabilities":[]}')],
    ['max_msg_fds of text', versionPayload('{"capabilities":{"max_msg_fds":"8"}}')],
    ['max_msg_fds of 1025', versionPayload('{"capabilities":{"max_msg_fds":1025}}')],
    ['a page size of 8192', versionPayload('{"capabilities":{"migration":{"pgsize":8192}}}')],
    ['messages of 0 bytes', versionPayload('{"capabilities":{"max_data_xfer_size":0}}')],
  ])('%s is EINVAL, and the connection is closed', async (_name, payload) => {
    const served = serveRaw(await mtty())
    expect(await served.client.errno(VERSION, payload)).toBe(22)
    expect(await served.client.next()).toBeUndefined()
    expect(await served.report).toMatchObject({
      client: undefined,
      commands: 1,
      refused: 1,
      ended: 'refused',
    })
  })

  it('a page size of 0 is as none', async () => {
    const served = serveRaw(await mtty())
    await served.client.ok(VERSION, versionPayload('{"capabilities":{"migration":{"pgsize":0}}}'))
    await leave(served)
  })

  it('another command first is EINVAL, and the connection is closed', async () => {
    const served = serveRaw(await mtty())
    expect(await served.client.errno(4, u32(16, 0, 0, 0))).toBe(22)
    expect(await served.client.next()).toBeUndefined()
    expect((await served.report).ended).toBe('refused')
  })

  it('a second VERSION is EINVAL, and the connection goes on', async () => {
    const served = serveRaw(await mtty())
    await served.client.ok(VERSION, versionPayload('{}'))
    expect(await served.client.errno(VERSION, versionPayload('{}'))).toBe(22)
    expect((await served.client.ok(4, u32(16, 0, 0, 0))).length).toBe(16)
    await leave(served)
  })

  it('a device that cannot migrate says nothing of migration', async () => {
    const mttyDriver = createMtty()
    const device = await VfioDevice.open({
      flags: 0,
      identity: mttyDriver.identity,
      transition: () => undefined,
      stopCopyLength: () => 0,
      reset: () => {},
    })
    const served = serveRaw(device)
    expect(jsonOf(await served.client.ok(VERSION, versionPayload('{}')))).toEqual({
      capabilities: { max_msg_fds: 1, max_data_xfer_size: 1048576 },
    })
    expect(await served.client.errno(16, u32(16, 0x10001, 0, 0)), 'nor has its features').toBe(22)
    await leave(served)
  })
})

describe('the header', () => {
  it.each([0, 15])('with a size of %i is answered EINVAL, and the connection is closed', async (size) => {
    const served = serveRaw(await mtty())
    await served.client.ok(VERSION, versionPayload('{}'))
    await served.client.write(wireMessage(7, 4, Buffer.alloc(0), { size }))
    expect(await served.client.next()).toMatchObject({ id: 7, command: 4, flags: 0x21, errno: 22 })
    expect(await served.client.next()).toBeUndefined()
    expect(await served.report).toMatchObject({ ended: 'refused', reason: { code: 'EPROTO' } })
  })

  it.each([1024 * 1024 + 33, 0xffff_ffff])('with a size of %i, too', async (size) => {
    const served = serveRaw(await mtty())
    await served.client.ok(VERSION, versionPayload('{}'))
    await served.client.write(wireMessage(7, 18, Buffer.alloc(0), { size }))
    expect(await served.client.next()).toMatchObject({ id: 7, command: 18, flags: 0x21, errno: 22 })
    expect(await served.client.next()).toBeUndefined()
    expect(await served.report).toMatchObject({ ended: 'refused', reason: { code: 'EMSGSIZE' } })
  })

  it.each([1, 2, 15])('of type %i is EINVAL, and the connection goes on behind it', async (flags) => {
    const served = serveRaw(await mtty())
    await served.client.ok(VERSION, versionPayload('{}'))
    await served.client.write(wireMessage(7, 4, u32(16, 0, 0, 0), { flags }))
    expect(await served.client.next()).toMatchObject({ id: 7, command: 4, flags: 0x21, errno: 22 })
    expect((await served.client.ok(4, u32(16, 0, 0, 0))).length).toBe(16)
    await leave(served)
  })

  it('that wants no reply gets none, whether it fails or not', async () => {
    const served = serveRaw(await mtty())
    await served.client.ok(VERSION, versionPayload('{}'))
    await served.client.write(wireMessage(7, 13, Buffer.alloc(0), { flags: 0x10 }))
    await served.client.write(wireMessage(8, 99, Buffer.alloc(0), { flags: 0x10 }))
    expect((await served.client.ok(4, u32(16, 0, 0, 0))).length).toBe(16)
    expect(await leave(served)).toMatchObject({ commands: 4, refused: 1, ended: 'left', state: 2 })
  })
})
