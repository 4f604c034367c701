import { describe, expect, it } from 'vitest'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { defineDevice } from '../../../src/driver/define-device.ts'
import { defaultEngine } from '../../../src/engine/default-engine.ts'
import { inspect } from '../../../src/migrate/inspect.ts'
import { readPrelude } from '../../../src/migrate/prelude.ts'
import { restore } from '../../../src/migrate/restore.ts'
import { save } from '../../../src/migrate/save.ts'
import { LISTED_SECTIONS, type SectionReport } from '../../../src/migrate/stream-survey.ts'
import { verify } from '../../../src/migrate/verify.ts'
import { codeOf, failureOf, turn } from '../../support/pending.ts'
import { buildStream, compressed, TAG } from '../../support/stream-builder.ts'
import { RecordingSink, RecordingSource } from './byte-ends.ts'
import { kindNamed, MEMORY_BYTES, savedStream } from './test-devices.ts'

const SAMPLER = kindNamed('a defined device with memory')
const stream = await savedStream(SAMPLER)
const mttyStream = await savedStream(kindNamed('mtty of 1 port(s)'))
const PAGES = Math.ceil(MEMORY_BYTES / 4096)

describe.each([
  ['inspect', inspect, false],
  ['verify', verify, true],
] as const)('%s', (_name, look, verified) => {
  it('reports header, configuration, regions and sections of a stream of memory', async () => {
    const report = await look(new RecordingSource(stream, 9999))
    expect(report).toMatchObject({ verified, bytes: stream.length, truncated: false })
    expect(report.header).toMatchObject({ deviceType: 'sampler', deviceVersion: 1, opaque: false })
    expect(report.configuration['memory.0.bytes']).toBe(MEMORY_BYTES)
    const [region] = report.regions
    expect(report.regions).toHaveLength(1)
    expect(region).toMatchObject({ name: 'samples', byteLength: MEMORY_BYTES })
    expect((region?.dataPages ?? 0) + (region?.zeroPages ?? 0)).toBe(PAGES)
    // 300,000 bytes from 3000 on touch 74 pages, the last 5000 bytes three.
    expect(region?.dataPages).toBe(77)
    expect(report.sectionCount).toBe(report.sections.length)
    expect(Object.values(report.tags).reduce((total, { sections }) => total + sections, 0)).toBe(
      report.sectionCount,
    )
  })

  it('places each section where it stands in the stream, up to the end', async () => {
    const { sections, bytes } = await look(new RecordingSource(stream))
    let offset = 128
    for (const [index, section] of sections.entries()) {
      expect([section.sequence, section.offset]).toEqual([index, offset])
      offset += 40 + section.payloadBytes
    }
    expect(offset).toBe(bytes)
    expect(sections[0]?.tag).toBe('CONFIG')
    expect(sections.at(-1)?.tag).toBe('END')
    const pages = sections.filter(({ region }) => region !== undefined)
    let page = 0
    for (const section of pages) {
      expect([section.region, section.first]).toEqual([0, page])
      page += section.pageCount as number
    }
    expect(page).toBe(PAGES)
  })

  it('lists a bounded number of sections, counts all, and passes all to onSection', async () => {
    const driver = defineDevice({
      type: 'stripes',
      version: 1,
      state: {},
      memory: { local: { byteLength: 4096 * 2 * 1100 } },
    })
    const device = await VfioDevice.open(driver)
    for (let page = 0; page < 2200; page += 2) driver.memory.local.write(page * 4096, Uint8Array.of(1))
    const sink = new RecordingSink()
    await save(device, sink)
    await device.close()
    const seen: SectionReport[] = []
    const report = await look(new RecordingSource(sink.bytes), { onSection: (section) => seen.push(section) })
    expect(report.truncated).toBe(true)
    expect(report.sections).toHaveLength(LISTED_SECTIONS)
    expect(report.sectionCount).toBe(seen.length)
    expect(seen.length).toBeGreaterThan(2200)
    expect(seen.slice(0, LISTED_SECTIONS)).toEqual(report.sections)
    expect(report.regions[0]).toMatchObject({ dataPages: 1100, zeroPages: 1100 })
  })

  it('refuses truncated, extended and foreign input with section and offset, and cancels the source', async () => {
    const end = stream.length - 64
    const longer = new Uint8Array(stream.length + 1)
    longer.set(stream)
    for (const [bytes, code, offset] of [
      [stream.subarray(0, -1), 'EINVAL', end],
      [stream.subarray(0, end), 'EINVAL', end],
      [new Uint8Array(0), 'EINVAL', 0],
      [longer, 'EPROTO', stream.length],
      [new TextEncoder().encode('no stream at all, but long enough to be one. '.repeat(4)), 'EPROTO', 0],
    ] as const) {
      const source = new RecordingSource(bytes)
      const failure = await failureOf(() => look(source))
      expect([failure.code, failure.offset]).toEqual([code, offset])
      expect(failure.section).toBeTypeOf('string')
      expect(source.cancels).toHaveLength(1)
    }
  })

  it('is ECANCELED by its signal, and fails with what the source or a callback threw', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const canceled = look(new RecordingSource(stream, 5000), {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    })
    await expect(canceled).rejects.toMatchObject({ code: 'ECANCELED', cause: reason })
    const failing = new RecordingSource(stream)
    failing.onRead = () => Promise.reject(Object.assign(new Error('gone'), { code: 'EPIPE' }))
    expect(await codeOf(() => look(failing))).toBe('EPIPE')
    const thrown = look(new RecordingSource(stream), {
      onSection: () => {
        throw reason
      },
    })
    await expect(thrown).rejects.toMatchObject({ code: 'EIO', cause: reason })
  })

  it('gives back the memory it took', async () => {
    const engine = await defaultEngine()
    const before = engine.allocatedBytes
    await look(new RecordingSource(stream))
    await codeOf(() => look(new RecordingSource(stream.subarray(0, -1))))
    expect(engine.allocatedBytes).toBe(before)
  })

  it('reads WHATWG streams', async () => {
    const report = await look(new Blob([new Uint8Array(mttyStream)]).stream())
    expect(report.header.deviceType).toBe('mtty')
    expect(report.regions).toEqual([])
  })
})

it('only verify sees a flipped bit in a payload; inspect sees it in a header', async () => {
  const { sections } = await inspect(new RecordingSource(stream))
  const pages = sections.find(({ tag }) => tag === 'PAGES') as SectionReport
  const damaged = new Uint8Array(stream)
  damaged[pages.offset + 100]! ^= 4
  expect(await codeOf(() => inspect(new RecordingSource(damaged)))).toBe('ok')
  const failure = await failureOf(() => verify(new RecordingSource(damaged)))
  expect(failure).toMatchObject({
    code: 'EBADMSG',
    offset: pages.offset,
    section: `section ${pages.sequence} (PAGES)`,
  })
  damaged[pages.offset + 20]! ^= 4
  expect((await failureOf(() => inspect(new RecordingSource(damaged)))).offset).toBe(pages.offset)
})

describe('readPrelude', () => {
  it('reads header and CONFIG and nothing more, and gives the stream from its first byte', async () => {
    for (const most of [1, 50, Infinity]) {
      const input = new RecordingSource(mttyStream, most)
      let reads = 0
      input.onRead = () => void reads++
      const { header, configuration, source } = await readPrelude(input)
      expect(header.deviceType).toBe('mtty')
      expect({ ...configuration }).toEqual({ ports: 1 })
      const before = reads
      const dst = new Uint8Array(1000)
      let filled = 0
      while (filled < 100) filled += await source.read(dst.subarray(filled, 100))
      expect(reads).toBe(before)
      for (let count; (count = await source.read(dst.subarray(filled))) > 0;) filled += count
      expect(Buffer.compare(dst.subarray(0, filled), mttyStream)).toBe(0)
    }
  })

  it('gives a source that can be restored from', async () => {
    const { source } = await readPrelude(new RecordingSource(stream))
    const { device, content } = await SAMPLER.open(false)
    const { bytes } = await restore(device, source)
    expect(bytes).toBe(stream.length)
    expect(content()[3000]).toBe(7)
    await device.close()
  })

  it('passes cancel and the size on', async () => {
    const input = Object.assign(new RecordingSource(mttyStream), { byteLength: mttyStream.length })
    const { source } = await readPrelude(input)
    expect(source.byteLength).toBe(mttyStream.length)
    await source.cancel('enough')
    expect(input.cancels).toEqual(['enough'])
    await turn()
  })

  it('refuses a damaged or truncated front with section and offset, and cancels the source', async () => {
    const damaged = new Uint8Array(mttyStream)
    damaged[170]! ^= 1
    for (const [bytes, code, offset] of [
      [damaged, 'EBADMSG', 128],
      [mttyStream.subarray(0, 150), 'EINVAL', 128],
      [mttyStream.subarray(0, 50), 'EINVAL', 0],
    ] as const) {
      const source = new RecordingSource(bytes)
      expect(await failureOf(() => readPrelude(source))).toMatchObject({ code, offset })
      expect(source.cancels).toHaveLength(1)
    }
  })
})

describe('compressed pages', () => {
  const block = Uint8Array.of(0x1f, 7, 1, 0, 255, 255, 255, 255, 255, 0, 0x50, 7, 7, 7, 7, 7)
  const of = (pageBytes: number): Uint8Array =>
    buildStream({
      configuration: { 'memory.0.name': 'm', 'memory.0.bytes': pageBytes, 'state.bytes': 0 },
      sections: [{ tag: TAG.PAGES_LZ4, payload: compressed(pageBytes, block) }],
    })

  it('are listed with the pages they stand for and the bytes they take', async () => {
    for (const look of [inspect, verify]) {
      const { tags, regions, sections } = await look(new RecordingSource(of(1300)))
      expect(tags['PAGES_LZ4']).toEqual({ sections: 1, payloadBytes: 4 + block.length })
      expect(regions).toEqual([{ name: 'm', byteLength: 1300, dataPages: 1, zeroPages: 0 }])
      expect(sections[1]).toMatchObject({ tag: 'PAGES_LZ4', region: 0, first: 0, pageCount: 1 })
    }
  })

  it('with a block of another length pass inspect and not verify', async () => {
    expect((await inspect(new RecordingSource(of(1301)))).verified).toBe(false)
    const before = (await defaultEngine()).allocatedBytes
    const failure = await failureOf(() => verify(new RecordingSource(of(1301))))
    expect(failure).toMatchObject({ code: 'EPROTO', section: 'section 1 (PAGES_LZ4)' })
    expect(failure.message).toContain('its LZ4 block holds 1300 of the 1301 bytes declared')
    expect((await defaultEngine()).allocatedBytes).toBe(before)
  })
})
