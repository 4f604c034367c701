import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Errno } from '../../../src/errors.ts'
import { explain } from '../../../src/cli/explain.ts'
import { ERRNO_CAUSES } from '../../../src/cli/explain/errno-causes.ts'
import { V1_STATES, V1_STATE_MASK } from '../../../src/cli/explain/v1-states.ts'
import { DeviceFeature } from '../../../src/uapi/features.ts'
import { DeviceState } from '../../../src/uapi/state.ts'

const SET_STOP_COPY = '10 00 00 00 02 00 02 00 03 00 00 00 07 00 00 00'
const PRECOPY = '18 00 00 00 00 00 00 00 18 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00'

function titles(...words: string[]): string[] {
  return explain(words).answers.map(({ title }) => title)
}

/** Errno and text of what a device refuses about these bytes. */
function problems(hex: string): readonly string[] {
  return explain([hex]).answers.at(-1)?.problems ?? []
}

describe('explain of ioctl bytes', () => {
  it('names every field of a feature call with offset, type, value and meaning', () => {
    const { answers } = explain([SET_STOP_COPY])
    expect(answers).toEqual([
      {
        kind: 'feature call',
        title: 'VFIO_DEVICE_FEATURE SET MIG_DEVICE_STATE, 16 bytes',
        fields: [
          { name: 'argsz', type: 'u32', offset: 0, value: '16', meaning: 'bytes' },
          {
            name: 'flags',
            type: 'u32',
            offset: 4,
            value: '131074',
            meaning: '0x20002, SET, MIG_DEVICE_STATE',
          },
          { name: 'device_state', type: 'u32', offset: 8, value: '3', meaning: 'STOP_COPY' },
          {
            name: 'data_fd',
            type: 's32',
            offset: 12,
            value: '7',
            meaning: 'data fd of the session (output; not read on the way in)',
          },
        ],
        problems: [],
        notes: [],
      },
    ])
  })

  it.each([
    ['pairs in one word', [SET_STOP_COPY.replaceAll(' ', '')]],
    ['pairs in many words', SET_STOP_COPY.split(' ')],
    [
      '0x with commas',
      [
        SET_STOP_COPY.split(' ')
          .map((pair) => `0x${pair}`)
          .join(', '),
      ],
    ],
    [
      'a C string',
      [
        SET_STOP_COPY.split(' ')
          .map((pair) => `\\x${pair}`)
          .join(''),
      ],
    ],
    ['xxd groups behind an offset', ['00000000: 1000 0000 0200 0200 0300 0000 0700 0000']],
  ])('reads %s', (_name, words) => {
    expect(explain(words).answers).toEqual(explain([SET_STOP_COPY]).answers)
  })

  it.each([
    ['argsz below 8', '07 00 00 00 01 00 01 00', /^EINVAL: .*argsz is 7/],
    [
      'argsz below the structure',
      '0f 00 00 00 02 00 02 00 03 00 00 00 00 00 00 00',
      /^EINVAL: .*argsz is 15/,
    ],
    [
      'GET and SET together',
      '10 00 00 00 02 00 03 00 03 00 00 00 00 00 00 00',
      /^EINVAL: .*GET and SET are both set/,
    ],
    ['a reserved bit', '10 00 00 00 01 00 09 00 00 00 00 00 00 00 00 00', /^EINVAL: .*reserved/],
    [
      'no operation',
      '10 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00',
      /^EINVAL: .*none of GET, SET and PROBE/,
    ],
    [
      'an operation the feature lacks',
      '10 00 00 00 01 00 02 00 00 00 00 00 00 00 00 00',
      /^EINVAL: .*no SET/,
    ],
    [
      'an unknown feature',
      '10 00 00 00 0d 00 01 00 00 00 00 00 00 00 00 00',
      /^ENOTTY: Cannot call feature 13/,
    ],
    ['a payload that is not there', '10 00 00 00 02 00 02 00 03 00 00 00', /^EFAULT: /],
    ['a header that is not there', '10 00 00 00 02 00 02', /^EFAULT: the header/],
    ['SET of ERROR', '10 00 00 00 02 00 02 00 00 00 00 00 00 00 00 00', /^EINVAL: .*never be requested/],
    ['SET of state 8', '10 00 00 00 02 00 02 00 08 00 00 00 00 00 00 00', /^EINVAL: Cannot request state 8/],
    [
      'START without ranges',
      '20 00 00 00 06 00 02 00 00 10 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00',
      /^EINVAL: .*no ranges/,
    ],
    [
      'START with 257 ranges',
      '20 00 00 00 06 00 02 00 00 10 00 00 00 00 00 00 01 01 00 00 00 00 00 00 00 10 00 00 00 00 00 00',
      /^E2BIG: /,
    ],
    [
      'REPORT with page size 2048',
      `28 00 00 00 08 00 01 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00 00 00
       00 08 00 00 00 00 00 00 00 20 00 00 00 00 00 00`,
      /^EINVAL: .*page size 2048/,
    ],
  ])('says what a device refuses about %s', (_name, hex, expected) => {
    expect(problems(hex)).toHaveLength(1)
    expect(problems(hex)[0]).toMatch(expected)
  })

  it('shows the smallest argsz also where another fault comes first', () => {
    const { answers } = explain(['0f 00 00 00 02 00 03 00 03 00 00 00 00 00 00 00'])
    expect(answers[0]?.problems?.[0]).toContain('GET and SET')
    expect(answers[0]?.notes).toEqual(['argsz must be 16 or more, except for a probe, where 8 is enough.'])
  })

  it('accepts a probe without payload and a START whose ranges are elsewhere', () => {
    expect(problems('08 00 00 00 01 00 04 00')).toEqual([])
    expect(
      problems(
        '20 00 00 00 06 00 02 00 00 10 00 00 00 00 00 00 01 00 00 00 00 00 00 00 00 10 00 00 00 00 00 00',
      ),
    ).toEqual([])
  })

  it('shows 24 bytes without operation as precopy_info and as a faulty feature call', () => {
    const [info, call] = explain([PRECOPY]).answers
    expect(info?.kind).toBe('precopy info')
    expect(info?.problems).toEqual([])
    expect(info?.fields?.map(({ name, value }) => `${name}=${value}`)).toEqual([
      'argsz=24',
      'flags=0',
      'initial_bytes=24',
      'dirty_bytes=0',
    ])
    expect(call?.kind).toBe('feature call')
    expect(call?.problems?.[0]).toMatch(/^ENOTTY: /)
    expect(explain([PRECOPY.replace('18', '17')]).answers[0]?.problems?.[0]).toMatch(/^EINVAL: .*argsz is 23/)
  })

  it('never throws, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 64 }), (bytes) => {
        const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
        expect(explain([hex]).answers.length).toBeGreaterThan(0)
      }),
    )
  })
})

describe('explain of errnos', () => {
  it('takes a name and a number of either sign, also as an unsigned 32-bit number', () => {
    const forms = ['EINVAL', 'einval', '-22', '22', '0xffffffea', '4294967274'].map(
      (word) => explain([word]).answers,
    )
    for (const answers of forms) expect(answers).toEqual(forms[0])
    expect(titles('EINVAL')).toEqual(['errno 22 is EINVAL'])
  })

  it('knows the second names of EAGAIN and EOPNOTSUPP', () => {
    expect(titles('EWOULDBLOCK', 'ENOTSUP')).toEqual(['errno 11 is EAGAIN', 'errno 95 is EOPNOTSUPP'])
  })

  it('0.1 every errno of the facts has at least one cause with a remedy', () => {
    const listed = `ENOENT EINTR EIO E2BIG EBADF EAGAIN ENOMEM EFAULT EBUSY EEXIST ENODEV EINVAL ENFILE EMFILE
      ENOTTY EFBIG ENOSPC ESPIPE ENOMSG EOVERFLOW EOPNOTSUPP ENOTCONN`.split(/\s+/)
    for (const name of listed) {
      const causes = explain([name]).answers[0]?.causes ?? []
      expect(causes.length, name).toBeGreaterThan(0)
      for (const { from, why, remedy } of causes)
        expect(from !== '' && why !== '' && remedy !== '').toBe(true)
    }
    expect(Object.keys(ERRNO_CAUSES).every((name) => Object.hasOwn(Errno, name))).toBe(true)
  })

  it('says of an errno without causes that it is not the protocol', () => {
    expect(explain(['EPERM']).answers[0]?.notes[0]).toContain('No meaning of its own')
  })

  it('D: ENOTTY of a device that cannot migrate and ENOMSG of a drained PRE_COPY say what to do', () => {
    expect(explain(['ENOTTY']).lines.join('\n')).toContain('GET MIGRATION: the device cannot migrate.')
    expect(explain(['ENOMSG']).lines.join('\n')).toContain('go on, or enter STOP_COPY; this is no failure.')
  })
})

describe('explain of names and numbers', () => {
  it('shows every meaning of an ambiguous number', () => {
    expect(titles('5')).toEqual([
      'state 5 is RUNNING_P2P',
      'feature 5 is LOW_POWER_EXIT',
      'errno 5 is EIO',
      'migration flags 5 are stop-copy, pre-copy',
      'v1 device_state 5 is RUNNING + RESUMING (deprecated)',
    ])
    expect(titles('PRE_COPY')).toEqual(['state 6 is PRE_COPY', 'migration flags 4 are pre-copy'])
  })

  it('explains each of several words', () => {
    expect(titles('ENOMSG', '0x3b79')).toEqual([
      'errno 42 is ENOMSG',
      'request 0x3b79 is VFIO_MIG_GET_PRECOPY_INFO',
    ])
  })

  it('0.2 knows the three requests by number in hex and decimal and by name', () => {
    expect(titles('0x3b75', '3b75', '15221', 'VFIO_DEVICE_FEATURE')).toEqual(
      Array(4).fill('request 0x3b75 is VFIO_DEVICE_FEATURE'),
    )
    expect(titles('0x3b6f')).toEqual(['request 0x3b6f is VFIO_DEVICE_RESET'])
  })

  it.each(Object.entries(DeviceFeature))('0.3 knows feature %s by its names', (name, index) => {
    expect(titles(name)).toContain(`feature ${index} is ${name}`)
    expect(titles(`vfio_device_feature_${name.toLowerCase()}`)).toEqual([`feature ${index} is ${name}`])
  })

  it('A.1 a feature tells its operations, argsz and the errno of a device without it', () => {
    expect(explain(['DMA_LOGGING_REPORT']).answers[0]?.notes[1]).toBe(
      'GET, argsz 40 or more, ENOTTY without dma-logging.',
    )
    expect(explain(['MIG_PRECOPY_INFOv2']).answers[0]?.notes[1]).toBe(
      'SET, argsz 8 or more, EINVAL without PRE_COPY.',
    )
    expect(explain(['BUS_MASTER']).answers[0]?.notes[0]).toContain('ENOTTY')
  })

  it('decodes a flags word of a feature call', () => {
    expect(titles('0x20002')).toEqual(['flags 0x20002 of a feature call: SET MIG_DEVICE_STATE'])
    expect(titles('0x40006')).toEqual(['flags 0x40006 of a feature call: PROBE DMA_LOGGING_START'])
  })

  it.each(Object.entries(DeviceState))('0.3 knows state %s by its names', (name, value) => {
    expect(titles(name)).toContain(`state ${value} is ${name}`)
    expect(titles(name.toLowerCase().replaceAll('_', '-'))).toContain(`state ${value} is ${name}`)
    expect(titles(`VFIO_DEVICE_STATE_${name}`)[0]).toBe(`state ${value} is ${name}`)
  })

  it('a state tells where it leads: nowhere from ERROR, not to PRE_COPY from STOP_COPY', () => {
    expect(explain(['ERROR']).answers[0]?.notes[1]).toContain('nowhere but to a reset')
    expect(explain(['STOP_COPY']).answers[0]?.notes[1]).toBe(
      'With flags 7 it can go to STOP, RUNNING, RESUMING, RUNNING_P2P.',
    )
  })

  it('says of flags without STOP_COPY that they are no valid set', () => {
    expect(explain(['P2P']).answers[0]?.notes[0]).toContain('STOP_COPY (1) must be there')
    expect(explain(['7']).answers.find(({ kind }) => kind === 'flag')?.notes[0]).toContain('valid set')
  })

  it.each(['', 'nonsense', '13.5', 'toString', '__proto__', 'constructor', '65535'])(
    'has no answer to "%s", and says what it takes',
    (word) => {
      const { answers, lines } = explain([word])
      expect(answers).toEqual([])
      expect(lines).toHaveLength(1)
      expect(lines[0]).toMatch(/^Cannot explain.*pass hex bytes/)
    },
  )

  it('answers the known words and names the unknown one', () => {
    const { answers, lines } = explain(['EINTR', 'whatever'])
    expect(answers).toHaveLength(1)
    expect(lines.at(-1)).toContain('Cannot explain "whatever"')
  })
})

describe('explain of deprecated v1 states', () => {
  it('seed: the renamed bits have their values, and each combination its successor or none', () => {
    expect([V1_STATES, V1_STATE_MASK]).toEqual([{ STOP: 0, RUNNING: 1, SAVING: 2, RESUMING: 4 }, 7])
    const successors = [0, 1, 2, 3, 4, 5, 6, 7].map(
      (value) => explain([String(value)]).answers.find(({ kind }) => kind === 'v1 state')?.notes[0],
    )
    expect(successors).toEqual([
      'Version 2 calls it STOP.',
      'Version 2 calls it RUNNING.',
      'Version 2 calls it STOP_COPY.',
      'Version 2 calls it PRE_COPY.',
      'Version 2 calls it RESUMING.',
      'Never valid: RESUMING goes with no other bit.',
      'Version 2 calls it ERROR.',
      'Never valid: RESUMING goes with no other bit.',
    ])
  })

  it('seed: the V1 spelling, the old spelling and SAVING lead to it; a bare RUNNING does not', () => {
    expect(titles('VFIO_DEVICE_STATE_V1_RESUMING')).toEqual(['v1 device_state 4 is RESUMING (deprecated)'])
    expect(titles('SAVING')).toEqual(['v1 device_state 2 is SAVING (deprecated)'])
    expect(titles('VFIO_DEVICE_STATE_RUNNING')).toEqual([
      'state 2 is RUNNING',
      'v1 device_state 1 is RUNNING (deprecated)',
    ])
    expect(titles('RUNNING')).toEqual(['state 2 is RUNNING'])
  })
})

describe('explain lines', () => {
  it('are one aligned line per field and one per remark', () => {
    expect(explain(['07 00 00 00 01 00 01 00']).lines).toEqual([
      'VFIO_DEVICE_FEATURE GET MIGRATION, 8 bytes',
      '    0  u32  argsz             7  bytes',
      '    4  u32  flags             65537  0x10001, GET, MIGRATION',
      '  refused with EINVAL: Cannot read the feature header: argsz is 7, set it to 8 plus the size of the data',
      '  argsz must be 16 or more, except for a probe, where 8 is enough.',
    ])
  })
})
