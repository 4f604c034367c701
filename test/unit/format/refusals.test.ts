import { expect, it } from 'vitest'
import { VfioError } from '../../../src/errors.ts'
import { declareRegions, PAGE_BYTES, StreamFault, StreamReader } from '../../../src/format/index.ts'
import {
  buildStream,
  type CraftedSection,
  type CraftedStream,
  MANDATORY,
  OPAQUE_STREAM,
  putTogether,
  TAG,
  takeApart,
  zeroRun,
} from '../../support/stream-builder.ts'
import {
  openRecorder,
  readStream,
  SMALL_CONFIGURATION,
  SMALL_SECTIONS,
  smallStream,
  testEngine,
} from './stream-recorder.ts'

const [ZERO, PAGES, STATE, REST] = SMALL_SECTIONS as [
  CraftedSection,
  CraftedSection,
  CraftedSection,
  CraftedSection,
]
const GOOD = takeApart(smallStream())

/** Code, section and reason of a refusal, in one line. */
function refusalOf(stream: Uint8Array): string {
  try {
    readStream(stream)
  } catch (error) {
    if (!VfioError.is(error)) throw error
    expect(error.message).toMatch(/^Cannot (read|finish) migration stream: /)
    return `${error.code}: ${error.section}: ${error.message.replace(/^.* at offset \d+(: |, )/, '').replace(/, [^,]*$/, '')}`
  }
  return 'accepted'
}

function withSections(...sections: CraftedSection[]): string {
  return refusalOf(smallStream({ sections }))
}

const CONFIG_AGAIN: CraftedSection = { tag: TAG.CONFIG, payload: new Uint8Array(2) }
const LARGE = 1024 * 1024 + 1

it.each<[name: string, sections: CraftedSection[], refusal: string]>([
  [
    'tag 0',
    [{ tag: 0, payload: new Uint8Array(0) }],
    'EPROTO: section 1 (TAG 0): section tag 0 is never valid',
  ],
  [
    'an unknown mandatory section',
    [{ tag: 8, payload: new Uint8Array(1) }],
    'EOPNOTSUPP: section 1 (TAG 8): section tag 8 is unknown here and marked mandatory',
  ],
  [
    'a known section not marked mandatory',
    [{ ...ZERO, flags: 0 }],
    'EPROTO: section 1 (ZERO): ZERO is not marked mandatory',
  ],
  [
    'a reserved section flag',
    [{ ...ZERO, flags: 3 }],
    'EPROTO: section 1 (ZERO): flags 0x3 have reserved bits set',
  ],
  ['a second CONFIG', [CONFIG_AGAIN], 'EPROTO: section 1 (CONFIG): a second CONFIG'],
  [
    'a sequence number that skips',
    [{ ...ZERO, sequence: 2 }],
    'EPROTO: section 2 (ZERO): sequence number 2 comes where 1 belongs',
  ],
  [
    'OPAQUE in a checked stream',
    [{ tag: TAG.OPAQUE, payload: new Uint8Array(4) }],
    'EPROTO: section 1 (OPAQUE): OPAQUE in a stream of checked sections',
  ],
  [
    'STATE that leaves a hole',
    [{ ...STATE, first: 1 }],
    'EPROTO: section 1 (STATE): 4 bytes at position 1 come where position 0 belongs',
  ],
  [
    'STATE that comes again',
    [STATE, STATE],
    'EPROTO: section 2 (STATE): 4 bytes at position 0 come where position 4 belongs',
  ],
  [
    'STATE that is too long',
    [STATE, { ...REST, payload: new Uint8Array(3) }],
    'EPROTO: section 2 (STATE): more than the 6 bytes of state that were declared',
  ],
  [
    'empty STATE',
    [{ ...STATE, payload: new Uint8Array(0) }],
    'EPROTO: section 1 (STATE): 0 bytes at position 0 come where position 0 belongs',
  ],
  ['STATE with a region', [{ ...STATE, region: 1 }], 'EPROTO: section 1 (STATE): STATE names region 1'],
  [
    'STATE at 2^64 - 1',
    [{ ...STATE, first: 2n ** 64n - 1n }],
    'EPROTO: section 1 (STATE): 4 bytes at position NaN come where position 0 belongs',
  ],
  [
    'PAGES of an undeclared region',
    [{ ...PAGES, region: 1 }],
    'EPROTO: section 1 (PAGES): region 1 was not declared',
  ],
  [
    'PAGES past the region',
    [{ ...PAGES, payload: new Uint8Array(17) }],
    "EPROTO: section 1 (PAGES): 17 bytes from page 1 are no whole pages of the region's 4112 bytes",
  ],
  [
    'PAGES of no whole page',
    [{ ...PAGES, first: 0 }],
    "EPROTO: section 1 (PAGES): 16 bytes from page 0 are no whole pages of the region's 4112 bytes",
  ],
  [
    'PAGES short of the odd end',
    [{ ...PAGES, payload: new Uint8Array(15) }],
    "EPROTO: section 1 (PAGES): 15 bytes from page 1 are no whole pages of the region's 4112 bytes",
  ],
  [
    'empty PAGES',
    [{ ...PAGES, payload: new Uint8Array(0) }],
    "EPROTO: section 1 (PAGES): 0 bytes from page 1 are no whole pages of the region's 4112 bytes",
  ],
  [
    'PAGES at page 2',
    [{ ...PAGES, first: 2 }],
    "EPROTO: section 1 (PAGES): 16 bytes from page 2 are no whole pages of the region's 4112 bytes",
  ],
  [
    'PAGES at page 2^52',
    [{ ...PAGES, first: 2n ** 52n }],
    `EPROTO: section 1 (PAGES): 16 bytes from page 4503599627370496 are no whole pages of the region's 4112 bytes`,
  ],
  [
    'PAGES at page 2^64 - 1',
    [{ ...PAGES, first: 2n ** 64n - 1n }],
    "EPROTO: section 1 (PAGES): 16 bytes from page NaN are no whole pages of the region's 4112 bytes",
  ],
  [
    'ZERO of no pages',
    [{ ...ZERO, payload: zeroRun(0) }],
    "EPROTO: section 1 (ZERO): a run of 0 zero pages passes the region's 2 pages",
  ],
  [
    'ZERO past the region',
    [{ ...ZERO, payload: zeroRun(3) }],
    "EPROTO: section 1 (ZERO): a run of 3 zero pages passes the region's 2 pages",
  ],
  [
    'ZERO from page 1 past the region',
    [{ ...ZERO, first: 1, payload: zeroRun(2) }],
    "EPROTO: section 1 (ZERO): a run of 2 zero pages passes the region's 2 pages",
  ],
  [
    'ZERO of 2^64 - 1 pages',
    [{ ...ZERO, payload: zeroRun(2n ** 64n - 1n) }],
    "EPROTO: section 1 (ZERO): a run of NaN zero pages passes the region's 2 pages",
  ],
  [
    'ZERO at page 2',
    [{ ...ZERO, first: 2 }],
    "EPROTO: section 1 (ZERO): a zero run at page 2 is malformed or outside the region's 2 pages",
  ],
  [
    'ZERO with 9 bytes',
    [{ ...ZERO, payload: new Uint8Array(9) }],
    "EPROTO: section 1 (ZERO): a zero run at page 0 is malformed or outside the region's 2 pages",
  ],
  [
    'END with a position',
    [{ tag: TAG.END, payload: new Uint8Array(24), first: 1 }],
    'EPROTO: section 1 (END): END has a position',
  ],
  [
    'END with a region',
    [{ tag: TAG.END, payload: new Uint8Array(24), region: 1 }],
    'EPROTO: section 1 (END): END names region 1',
  ],
  [
    'END of 25 bytes',
    [{ tag: TAG.END, payload: new Uint8Array(25) }],
    'EPROTO: section 1 (END): END has 25 bytes',
  ],
  [
    'a wrong payload checksum',
    [{ ...ZERO, payloadChecksum: new Uint8Array(8) }],
    'EBADMSG: section 1 (ZERO): payload checksum does not match',
  ],
])('%s is refused', (_, sections, refusal) => {
  expect(withSections(...sections)).toBe(refusal)
})

it.each<[name: string, differences: CraftedStream, refusal: string]>([
  [
    'format version 0',
    { header: { formatVersion: 0 } },
    'EOPNOTSUPP: the stream header: format version 0 is not version 1, the only one this release reads',
  ],
  [
    'format version 2',
    { header: { formatVersion: 2 } },
    'EOPNOTSUPP: the stream header: format version 2 is not version 1, the only one this release reads',
  ],
  [
    'a header of 129 bytes',
    { header: { headerBytes: 129 } },
    'EPROTO: the stream header: its header length is not 128',
  ],
  [
    'a reserved stream flag',
    { header: { flags: 4 } },
    'EPROTO: the stream header: flags 0x4 have reserved bits set',
  ],
  [
    'pages of 8192 bytes',
    { header: { pageBytes: 8192 } },
    'EPROTO: the stream header: pages of 8192 bytes are not pages of 4096',
  ],
  [
    'a reserved header byte',
    { header: { reserved: new Uint8Array(40).fill(1, 39) } },
    'EPROTO: the stream header: reserved bytes are not zero',
  ],
  [
    'no device type',
    { header: { type: '' } },
    'EPROTO: the stream header: the device type field is malformed',
  ],
  [
    'a device type with a hole',
    { header: { type: 'a\0b' } },
    'EPROTO: the stream header: the device type field is malformed',
  ],
  [
    'a device type that is not UTF-8',
    { header: { type: Uint8Array.of(0xff) } },
    'EPROTO: the stream header: the device type is not UTF-8',
  ],
  [
    'another magic',
    { header: { magic: new Uint8Array(8) } },
    'EPROTO: the stream header: this is not a stopcopy migration stream',
  ],
  [
    'a wrong fingerprint',
    { header: { fingerprint: new Uint8Array(8) } },
    'EPROTO: section 0 (CONFIG): the configuration is not the one of the header fingerprint',
  ],
  ['no CONFIG', { configuration: null }, 'EPROTO: section 0 (ZERO): ZERO comes before CONFIG'],
  ['only an END', { configuration: null, sections: [] }, 'EPROTO: section 0 (END): END comes before CONFIG'],
  [
    'an optional section before CONFIG',
    { configuration: null, sections: [{ tag: 9, flags: 0, payload: new Uint8Array(0) }] },
    'EPROTO: section 0 (TAG 9): TAG 9 comes before CONFIG',
  ],
  [
    'an END that counts a section too many',
    { end: { sections: 6n } },
    'EPROTO: section 5 (END): totals of 6 sections and 166 bytes do not match the 5 and 166 that came',
  ],
  [
    'an END that counts a byte too few',
    { end: { payloadBytes: 165n } },
    'EPROTO: section 5 (END): totals of 5 sections and 165 bytes do not match the 5 and 166 that came',
  ],
  [
    'an END of 2^64 - 1 bytes',
    { end: { payloadBytes: 2n ** 64n - 1n } },
    'EPROTO: section 5 (END): totals of 5 sections and NaN bytes do not match the 5 and 166 that came',
  ],
  [
    'a wrong digest',
    { end: { digest: new Uint8Array(8) } },
    'EBADMSG: section 5 (END): the digest over all sections does not match',
  ],
  ['no END', { end: null }, 'EINVAL: section 5 (header): the stream is cut short at byte 494'],
  [
    'missing state',
    { sections: [ZERO, PAGES, STATE] },
    'EPROTO: section 4 (END): 4 of 6 bytes of state came',
  ],
  [
    'a missing first page',
    { sections: [PAGES, STATE, REST] },
    'EPROTO: section 4 (END): 1 pages of region "ram" never came, page 0 first',
  ],
  [
    'a missing last page',
    { sections: [ZERO, STATE, REST] },
    'EPROTO: section 4 (END): 1 pages of region "ram" never came, page 1 first',
  ],
])('%s is refused', (_, differences, refusal) => {
  expect(refusalOf(smallStream(differences))).toBe(refusal)
})

const config = (payload: Uint8Array | Record<string, number | bigint | string>): string =>
  refusalOf(smallStream({ configuration: payload }))

it.each<
  [name: string, configuration: Uint8Array | Record<string, number | bigint | string>, refusal: string]
>([
  ['no entry count', new Uint8Array(0), 'an entry passes the end of the section'],
  [
    'an entry that is cut off',
    Uint8Array.of(1, 0, 1, 0, 0x61, 0, 1),
    'an entry passes the end of the section',
  ],
  [
    'a name longer than the section',
    Uint8Array.of(1, 0, 0xff, 0xff, 0x61),
    'an entry passes the end of the section',
  ],
  ['65535 entries of nothing', Uint8Array.of(0xff, 0xff), 'an entry passes the end of the section'],
  ['an empty name', Uint8Array.of(1, 0, 0, 0, 1, 0), 'names are not in ascending order'],
  [
    'a name twice',
    Uint8Array.of(2, 0, 1, 0, 0x61, 1, 0, 1, 0, 0x61, 1, 0),
    'names are not in ascending order',
  ],
  [
    'names in another order',
    Uint8Array.of(2, 0, 1, 0, 0x62, 1, 0, 1, 0, 0x61, 1, 0),
    'names are not in ascending order',
  ],
  ['a boolean of value 2', Uint8Array.of(1, 0, 1, 0, 0x61, 1, 2), '"a" is a boolean of value 2'],
  ['kind 3', Uint8Array.of(1, 0, 1, 0, 0x61, 3, 0), '"a" has kind 3'],
  ['a name that is not UTF-8', Uint8Array.of(1, 0, 1, 0, 0xff, 1, 0), 'a name or a text is not UTF-8'],
  ['bytes behind the last entry', Uint8Array.of(0, 0, 0), 'bytes follow the last entry'],
  ['no state.bytes', {}, 'state.bytes is missing or out of range'],
  ['state.bytes that is a text', { 'state.bytes': '6' }, 'state.bytes is missing or out of range'],
  ['state.bytes above 4 GiB', { 'state.bytes': 2 ** 32 + 1 }, 'state.bytes is missing or out of range'],
  ['state.bytes of 2^63', { 'state.bytes': 2n ** 63n }, 'state.bytes is missing or out of range'],
  [
    'a region without a name',
    { 'memory.0.bytes': 1, 'state.bytes': 0 },
    'memory region 0 is not declared by a text name and an integer of bytes',
  ],
  [
    'a region without a length',
    { 'memory.0.name': 'a', 'state.bytes': 0 },
    'memory region 0 is not declared by a text name and an integer of bytes',
  ],
  [
    'a region of 2^63 bytes',
    { 'memory.0.bytes': 2n ** 63n, 'memory.0.name': 'a', 'state.bytes': 0 },
    'memory region 0 is not declared by a text name and an integer of bytes',
  ],
  [
    'regions of 4 GiB and 1 byte',
    {
      ...declareRegions([
        { name: 'a', byteLength: 2 ** 32 },
        { name: 'b', byteLength: 1 },
      ]),
      'state.bytes': 0,
    },
    'its memory regions pass 64 regions or 4294967296 bytes',
  ],
  [
    '65 regions',
    { ...declareRegions(Array.from({ length: 65 }, () => ({ name: 'a', byteLength: 0 }))), 'state.bytes': 0 },
    'its memory regions pass 64 regions or 4294967296 bytes',
  ],
] as never)('a CONFIG with %s is refused', (_, configuration, refusal) => {
  expect(config(configuration)).toBe(`EPROTO: section 0 (CONFIG): ${refusal}`)
})

it('64 regions and 4 GiB of memory and state are within the limits, and cost no memory', () => {
  const regions = Array.from({ length: 64 }, (_, i) => ({ name: `r${i}`, byteLength: i === 0 ? 2 ** 32 : 0 }))
  const configuration = { ...declareRegions(regions), 'state.bytes': 2 ** 32 }
  const sections = [{ tag: TAG.ZERO, payload: zeroRun(2 ** 20) }] as const
  const before = testEngine.allocatedBytes
  const reader = new StreamReader(testEngine, {})
  expect(() => reader.write(buildStream({ configuration, sections }))).toThrow(
    'section 2 (END) at offset 3282: 0 of 4294967296 bytes of state came',
  )
  expect(testEngine.allocatedBytes - before).toBeLessThan(8192)
  reader.dispose()
  expect(testEngine.allocatedBytes).toBe(before)
})

it('a zero run may cover a region of a million pages, again and again', () => {
  const configuration = { ...declareRegions([{ name: 'r', byteLength: 2 ** 32 }]), 'state.bytes': 0 }
  const sections = Array.from({ length: 20 }, () => ({ tag: TAG.ZERO, payload: zeroRun(2 ** 20) }))
  const reader = new StreamReader(testEngine, {})
  reader.write(buildStream({ configuration, sections }))
  reader.finish()
  expect(reader.ended).toBe(true)
  reader.dispose()
})

it.each([
  ['PAGES', { ...PAGES, payloadBytes: LARGE }, LARGE, 1024 * 1024],
  [
    'an unknown optional section',
    { tag: 99, flags: 0, payload: new Uint8Array(0), payloadBytes: LARGE },
    LARGE,
    1024 * 1024,
  ],
  ['a section of 4 GiB - 1', { ...STATE, payloadBytes: 0xffff_ffff }, 0xffff_ffff, 1024 * 1024],
])('%s over 1 MiB is EMSGSIZE before anything is allocated', (_, section, length, limit) => {
  const { reader } = openRecorder()
  const before = testEngine.allocatedBytes
  const stream = smallStream({ sections: [section], end: null })
  expect(() => reader.write(stream)).toThrow(`a payload of ${length} bytes passes the limit of ${limit}`)
  expect(reader.failure?.code).toBe('EMSGSIZE')
  // The buffer that CONFIG came in, and no more.
  expect(testEngine.allocatedBytes - before).toBeLessThan(300)
  reader.dispose()
})

it('a CONFIG over 64 KiB is EMSGSIZE before anything is allocated, one of 64 KiB is not', () => {
  const { reader } = openRecorder()
  const before = testEngine.allocatedBytes
  const section = { tag: TAG.CONFIG, payload: new Uint8Array(0), payloadBytes: 65_537 }
  expect(() => reader.write(buildStream({ configuration: null, sections: [section] }))).toThrow(
    'section 0 (CONFIG) at offset 128: a payload of 65537 bytes passes the limit of 65536',
  )
  expect(reader.failure?.code).toBe('EMSGSIZE')
  expect(testEngine.allocatedBytes).toBe(before)
  reader.dispose()
  const { 'state.bytes': stateBytes } = SMALL_CONFIGURATION
  const rest = buildStream({ configuration: { 'state.bytes': 0, text: '' } }).length - 128 - 40 - 64
  const full = { 'state.bytes': 0, text: 'x'.repeat(65_536 - rest) }
  expect(stateBytes).toBe(6)
  expect(readStream(buildStream({ configuration: full })).sections[0]?.section.payloadBytes).toBe(65_536)
})

it('an unknown optional section is skipped and counted, wherever it stands behind CONFIG', () => {
  const unknown = {
    tag: 0xffff,
    flags: 0,
    payload: new Uint8Array(5000).fill(7),
    region: 9,
    first: 2n ** 64n - 1n,
  }
  const empty = { tag: 8, flags: 0, payload: new Uint8Array(0) }
  const recorder = readStream(
    smallStream({ sections: [unknown, ZERO, empty, PAGES, STATE, unknown, REST, empty] }),
  )
  expect(recorder.completed).toBe(true)
  expect(recorder.skipped).toEqual([0xffff, 8, 0xffff, 8])
  expect(recorder.state).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6))
})

it('a damaged unknown optional section is refused all the same', () => {
  const damaged = { tag: 8, flags: 0, payload: new Uint8Array(8), payloadChecksum: new Uint8Array(8) }
  expect(withSections(damaged)).toBe('EBADMSG: section 1 (TAG 8): payload checksum does not match')
})

it('pages and state may come in any order, pages more than once: the last word counts', () => {
  const again = { ...PAGES, payload: new Uint8Array(16).fill(0x55) }
  const recorder = readStream(smallStream({ sections: [STATE, PAGES, REST, ZERO, again] }))
  expect(recorder.completed).toBe(true)
  expect(recorder.memory[0]?.subarray(PAGE_BYTES)).toEqual(new Uint8Array(16).fill(0x55))
})

it('sections that were reordered as they were are refused by sequence number', () => {
  const [config_, zero, pages, ...others] = GOOD.sections
  const sections = [config_, pages, zero, ...others] as CraftedSection[]
  const stream = buildStream({ header: GOOD.header, configuration: null, sections })
  expect(refusalOf(stream)).toBe('EPROTO: section 2 (PAGES): sequence number 2 comes where 1 belongs')
})

it.each([0, 1, 2, 3, 4])('a stream without its section %i, numbered and summed anew, is refused', (index) => {
  const sections = GOOD.sections.filter((_, i) => i !== index)
  expect(refusalOf(putTogether(GOOD.header, sections))).not.toBe('accepted')
})

it.each([0, 3, 4])('a stream with its section %i twice, numbered and summed anew, is refused', (index) => {
  const sections = [...GOOD.sections.slice(0, index + 1), ...GOOD.sections.slice(index)]
  expect(refusalOf(putTogether(GOOD.header, sections))).not.toBe('accepted')
})

it('sections dropped with the totals and the digest of the whole are refused', () => {
  const whole = smallStream({ sections: [ZERO, ZERO, PAGES, STATE, REST] })
  const digest = whole.slice(-8)
  const end = { sections: 6n, payloadBytes: 190n, digest }
  expect(readStream(whole).completed).toBe(true)
  expect(refusalOf(smallStream({ sections: [ZERO, PAGES, STATE, REST], end }))).toMatch(
    /^EPROTO: section 5 \(END\): totals/,
  )
  expect(refusalOf(smallStream({ sections: [ZERO, PAGES, STATE, REST], end: { digest } }))).toMatch(
    /^EBADMSG: section 5 \(END\): the digest/,
  )
})

it.each<[name: string, sections: CraftedSection[], refusal: string]>([
  [
    'pages',
    [{ tag: TAG.PAGES, payload: new Uint8Array(16) }],
    'EPROTO: section 1 (PAGES): PAGES in a stream of opaque sections',
  ],
  [
    'a hole',
    [{ tag: TAG.OPAQUE, payload: new Uint8Array(4), first: 4 }],
    'EPROTO: section 1 (OPAQUE): 4 bytes at position 4 come where position 0 belongs',
  ],
  [
    'an empty piece',
    [{ tag: TAG.OPAQUE, payload: new Uint8Array(0) }],
    'EPROTO: section 1 (OPAQUE): 0 bytes at position 0 come where position 0 belongs',
  ],
])('an opaque stream with %s is refused', (_, sections, refusal) => {
  expect(refusalOf(buildStream({ header: { flags: OPAQUE_STREAM }, sections }))).toBe(refusal)
})

it('an opaque stream gives its bytes; reserved names mean nothing in its CONFIG', () => {
  const sections = [
    { tag: TAG.OPAQUE, payload: Uint8Array.of(1, 2) },
    { tag: TAG.OPAQUE, payload: Uint8Array.of(3), first: 2 },
  ]
  const configuration = { 'memory.0.bytes': 'none', 'state.bytes': 'none' }
  const recorder = readStream(buildStream({ header: { flags: OPAQUE_STREAM }, configuration, sections }))
  expect(recorder.opaque).toEqual([1, 2, 3])
})

it('what a handler throws refuses the stream for good, at the section it heard', () => {
  const stream = smallStream()
  for (const [error, code, text] of [
    [new StreamFault('EINVAL', 'not this', 'try that'), 'EINVAL', 'not this, try that'],
    [
      new VfioError('ENOMEM', 'Cannot allocate: full, free some'),
      'ENOMEM',
      'Cannot allocate: full, free some',
    ],
    [new TypeError('oops'), 'EIO', 'oops'],
  ] as const) {
    const reader = new StreamReader(testEngine, {
      payload() {
        throw error
      },
    })
    expect(() => reader.write(stream)).toThrow(`section 1 (ZERO) at offset`)
    const { failure } = reader
    expect(failure).toMatchObject({ code, section: 'section 1 (ZERO)' })
    expect(failure?.message.endsWith(`: ${text}`)).toBe(true)
    expect(failure?.cause).toBe(error instanceof StreamFault ? undefined : error)
    expect(() => reader.write(stream)).toThrow(failure)
    reader.dispose()
  }
})

it('the mandatory bit alone says whether an unknown section may be skipped', () => {
  const section = { tag: 1000, payload: new Uint8Array(3) }
  expect(withSections({ ...section, flags: 0 }, ...SMALL_SECTIONS)).toBe('accepted')
  expect(withSections({ ...section, flags: MANDATORY }, ...SMALL_SECTIONS)).toMatch(/^EOPNOTSUPP/)
})
