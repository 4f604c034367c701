import { describe, expect, it } from 'vitest'
import type { VfioDevice } from '../../../src/device/vfio-device.ts'
import { VfioDevice as Device } from '../../../src/device/vfio-device.ts'
import { VfioError } from '../../../src/errors.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { verify } from '../../../src/migrate/verify.ts'
import type { ResumeEnd, SaveEnd, SessionEnd } from '../../../src/session/session-end.ts'
import { POLLIN } from '../../../src/uapi/poll.ts'
import { DeviceState } from '../../../src/uapi/state.ts'
import { failureOf } from '../../support/pending.ts'
import { ScriptedDriver } from '../../support/scripted-driver.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'
import { kindNamed, savedStream } from './test-devices.ts'

const MTTY = kindNamed('mtty of 2 port(s)')
const SAMPLER = kindNamed('a defined device with memory')

function flipped(stream: Uint8Array, byte: number, bit: number): Uint8Array {
  const copy = new Uint8Array(stream)
  copy[byte]! ^= 1 << bit
  return copy
}

function extended(stream: Uint8Array): Uint8Array {
  const copy = new Uint8Array(stream.length + 1)
  copy.set(stream)
  return copy
}

/** Tries to restore, and asserts what holds for every damaged stream. */
async function refusal(
  { device, content }: { device: VfioDevice; content: () => Uint8Array },
  powerOn: Uint8Array,
  stream: Uint8Array,
): Promise<VfioError> {
  const failure = await failureOf(() => restore(device, new RecordingSource(stream)))
  expect(failure.section).toBeTypeOf('string')
  expect(failure.offset).toBeTypeOf('number')
  expect(failure.state).toBe(DeviceState.RUNNING)
  expect(await device.state()).toBe(DeviceState.RUNNING)
  expect(Buffer.compare(content(), powerOn)).toBe(0)
  return failure
}

describe('a damaged mtty stream', () => {
  it('with any bit flipped is refused by verify and restore alike, and the mtty is at power-on', async () => {
    const stream = await savedStream(MTTY)
    const target = await MTTY.open(false)
    const powerOn = target.content().slice()
    for (let byte = 0; byte < stream.length; byte++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = flipped(stream, byte, bit)
        const verified = await failureOf(() => verify(new RecordingSource(damaged)))
        const { code, section, offset } = await refusal(target, powerOn, damaged)
        expect([code, section, offset]).toEqual([verified.code, verified.section, verified.offset])
        expect(offset).toBeLessThanOrEqual(byte)
      }
    }
  })

  it('truncated anywhere or followed by a byte is refused', async () => {
    const stream = await savedStream(MTTY)
    const target = await MTTY.open(false)
    const powerOn = target.content().slice()
    for (let byteLength = 0; byteLength < stream.length; byteLength++) {
      const { code } = await refusal(target, powerOn, stream.subarray(0, byteLength))
      expect(code).toBe('EINVAL')
      const verified = await failureOf(() => verify(new RecordingSource(stream.subarray(0, byteLength))))
      expect(verified.code).toBe('EINVAL')
    }
    expect((await refusal(target, powerOn, extended(stream))).code).toBe('EPROTO')
    expect((await failureOf(() => verify(new RecordingSource(extended(stream))))).code).toBe('EPROTO')
  })
})

describe('a damaged stream of a device with memory', () => {
  it('flipped in 100 places, truncated or extended is refused, and memory is at power-on', async () => {
    const stream = await savedStream(SAMPLER)
    const target = await SAMPLER.open(false)
    const powerOn = target.content().slice()
    for (let place = 0; place < 100; place++) {
      const byte = Math.floor((place * (stream.length - 1)) / 99)
      const damaged = flipped(stream, byte, place % 8)
      await refusal(target, powerOn, damaged)
      await failureOf(() => verify(new RecordingSource(damaged)))
      await refusal(target, powerOn, stream.subarray(0, byte))
    }
    await refusal(target, powerOn, extended(stream))
  })
})

/** A device whose own stream is as long as it is told. */
class LongStreamDriver extends ScriptedDriver {
  readonly given: Uint8Array[] = []
  readonly #stream: Uint8Array

  constructor(stream: Uint8Array) {
    super()
    this.#stream = stream
    this.endFor = (arc) => this.#endFor(arc)
  }

  #endFor(arc: string): SessionEnd | undefined {
    if (arc === 'STOP>STOP_COPY') return this.#saveEnd()
    return arc === 'STOP>RESUMING' ? this.#resumeEnd() : undefined
  }

  #saveEnd(): SaveEnd {
    let at = 0
    return {
      direction: 'save',
      // Short reads, as kernel drivers make them.
      read: (dst) => {
        const part = this.#stream.subarray(at, at + Math.min(dst.length, 10_007))
        dst.set(part)
        at += part.length
        return part.length
      },
      poll: () => POLLIN,
      end: () => {},
    }
  }

  #resumeEnd(): ResumeEnd {
    return {
      direction: 'resume',
      write: (src) => {
        this.given.push(new Uint8Array(src))
        return src.length
      },
      end: () => {},
    }
  }
}

describe('the stream of an opaque device', () => {
  const own = Uint8Array.from(
    { length: 700_000 },
    (_, index) => (index * 7 + (index >> 9) + 5 * (index >> 17)) & 255,
  )

  async function wrapped(): Promise<Uint8Array> {
    const sink = new RecordingSink()
    await save(await Device.open(new LongStreamDriver(own)), sink)
    return sink.bytes
  }

  it('is cut into sections of at most 256 KiB and given to the driver again as it was', async () => {
    const stream = await wrapped()
    const { tags, sections } = await verify(new RecordingSource(stream))
    expect(tags['OPAQUE']).toEqual({ sections: 3, payloadBytes: own.length })
    expect(sections.map(({ payloadBytes }) => payloadBytes).slice(1, 4)).toEqual([262_144, 262_144, 175_712])
    const driver = new LongStreamDriver(own)
    await restore(await Device.open(driver), new RecordingSource(stream, 50_000))
    expect(Buffer.compare(Buffer.concat(driver.given), own)).toBe(0)
  })

  it('reaches the driver only section by section, each verified whole', async () => {
    const stream = await wrapped()
    const { sections } = await verify(new RecordingSource(stream))
    for (const { sequence, offset, payloadBytes, tag } of sections) {
      const driver = new LongStreamDriver(own)
      const device = await Device.open(driver)
      const damaged = flipped(stream, offset + 40 + payloadBytes - 1, 0)
      const failure = await failureOf(() => restore(device, new RecordingSource(damaged)))
      expect(failure).toMatchObject({ code: 'EBADMSG', offset, section: `section ${sequence} (${tag})` })
      const verifiedBytes = Math.min(Math.max(0, sequence - 1) * 262_144, own.length)
      expect(Buffer.compare(Buffer.concat(driver.given), own.subarray(0, verifiedBytes))).toBe(0)
      expect(driver.calls).not.toContain('RESUMING>STOP')
    }
  })

  it('of no bytes at all is saved and restored', async () => {
    const sink = new RecordingSink()
    await save(await Device.open(new LongStreamDriver(new Uint8Array(0))), sink)
    const driver = new LongStreamDriver(own)
    const report = await restore(await Device.open(driver), new RecordingSource(sink.bytes))
    expect(report.bytes).toBe(sink.bytes.length)
    expect(driver.given).toEqual([])
  })

  it('waits for a driver that is not ready: EAGAIN on both sides', async () => {
    const source = new ScriptedDriver({ bytes: Uint8Array.of(1, 2, 3) })
    const from = await Device.open(source)
    const sink = new RecordingSink()
    // The end is made by the arc; from then on its first read is not ready.
    sink.onCall = () => {
      const end = source.save
      if (end === undefined || end.reads > 0) return
      end.failure = new VfioError('EAGAIN', 'Cannot read: not yet')
      setTimeout(() => {
        end.failure = undefined
        end.push(new Uint8Array(0))
      }, 1)
    }
    await save(from, sink)
    const target = new ScriptedDriver()
    const to = await Device.open(target)
    const bytes = new RecordingSource(sink.bytes)
    bytes.onRead = () => {
      if (target.resume?.writes === 0)
        target.resume.failNext = new VfioError('EAGAIN', 'Cannot write: not yet')
    }
    await restore(to, bytes)
    expect(target.resume?.taken).toEqual([1, 2, 3])
    expect(target.resume?.writes).toBe(2)
  })
})
