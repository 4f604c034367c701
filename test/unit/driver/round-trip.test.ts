import { expect, it } from 'vitest'
import { defineDevice } from '../../../src/driver/define-device.ts'
import * as s from '../../../src/driver/schema.ts'
import { DeviceState as D } from '../../../src/uapi/index.ts'
import type { SaveEnd, ResumeEnd } from '../../../src/session/session-end.ts'

const signal = new AbortController().signal
it('smoke', async () => {
  const make = () =>
    defineDevice({
      type: 'x',
      version: 1,
      state: {
        a: s.u8({ max: 9 }),
        b: s.u32({ default: 7 }),
        r: s.ring(s.u16(), 5),
        n: s.nested({ z: s.u64(), f: s.bool() }),
        rep: s.repeated(3, { q: s.i16({ min: -3 }) }),
      },
      memory: { local: { byteLength: 1_000_001 } },
    })
  const a = make()
  await a.open!()
  a.state.a = 5
  a.state.r.push(3)
  a.state.n.z = 123456789012345n
  a.state.rep[1]!.q = -2
  a.memory.local.write(5000, new Uint8Array(300_000).fill(7))
  const len = await a.stopCopyLength()
  const src = (await a.transition(D.STOP, D.STOP_COPY, { signal })) as SaveEnd
  const out = new Uint8Array(2_000_000)
  let n = 0
  for (let k; (k = src.read(out.subarray(n, n + 777))) > 0;) n += k
  expect(n).toBe(len)
  const b = make()
  await b.open!()
  const dst = (await b.transition(D.STOP, D.RESUMING, { signal })) as ResumeEnd
  for (let i = 0; i < n; i += 1) dst.write(out.subarray(i, i + 1))
  await b.transition(D.RESUMING, D.STOP, { signal })
  expect(b.state.a).toBe(5)
  expect(b.state.b).toBe(7)
  expect(b.state.r.shift()).toBe(3)
  expect(b.state.n.z).toBe(123456789012345n)
  expect(b.state.rep[1]!.q).toBe(-2)
  expect(Buffer.compare(b.memory.local.bytes, a.memory.local.bytes)).toBe(0)
})
