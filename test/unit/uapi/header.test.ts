import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import * as uapi from '../../../src/uapi/index.ts'

/** What a C program prints for Linux 6.1's <linux/vfio.h>, which has no PRE_COPY, data size or INFOv2. */
const RECORDED: Record<string, number> = {
  VFIO_TYPE: 0x3b,
  VFIO_BASE: 100,
  VFIO_DEVICE_RESET: 0x3b6f,
  VFIO_DEVICE_FEATURE: 0x3b75,
  VFIO_DEVICE_FEATURE_MASK: 0xffff,
  VFIO_DEVICE_FEATURE_GET: 0x1_0000,
  VFIO_DEVICE_FEATURE_SET: 0x2_0000,
  VFIO_DEVICE_FEATURE_PROBE: 0x4_0000,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN: 0,
  VFIO_DEVICE_FEATURE_MIGRATION: 1,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: 2,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: 3,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: 4,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: 5,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START: 6,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: 7,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: 8,
  VFIO_MIGRATION_STOP_COPY: 1,
  VFIO_MIGRATION_P2P: 2,
  VFIO_DEVICE_STATE_ERROR: 0,
  VFIO_DEVICE_STATE_STOP: 1,
  VFIO_DEVICE_STATE_RUNNING: 2,
  VFIO_DEVICE_STATE_STOP_COPY: 3,
  VFIO_DEVICE_STATE_RESUMING: 4,
  VFIO_DEVICE_STATE_RUNNING_P2P: 5,
}

const STRUCTS_OF_6_1 = [
  uapi.FeatureHeader,
  uapi.FeatureMigration,
  uapi.FeatureMigState,
  uapi.DmaLoggingControl,
  uapi.DmaLoggingRange,
  uapi.DmaLoggingReport,
]

/** C expressions of one structure, with the values our table has for them. */
function expressions({ name, byteLength, fields }: (typeof STRUCTS_OF_6_1)[number]): [string, number][] {
  return [
    [`sizeof(struct ${name})`, byteLength],
    ...Object.values(fields).map((field): [string, number] => [
      `offsetof(struct ${name}, ${field.name})`,
      field.offset,
    ]),
  ]
}

const HEADER = '/usr/include/linux/vfio.h'
const hasCompiler = existsSync(HEADER) && spawnSync('gcc', ['--version']).status === 0

/** Compiles and runs a program that prints one number per C expression. */
function evaluate(cExpressions: string[]): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-header-'))
  try {
    const prints = cExpressions.map((text) => `printf("%lld\\n", (long long)(${text}));`)
    const source = `#include <stdio.h>\n#include <stddef.h>\n#include <linux/vfio.h>\nint main(void) {\n${prints.join('\n')}\n}`
    writeFileSync(join(folder, 'print.c'), source)
    execFileSync('gcc', ['-o', join(folder, 'print'), join(folder, 'print.c')])
    return execFileSync(join(folder, 'print'), { encoding: 'utf8' }).trim().split('\n').map(Number)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function request(index: number): number {
  return (uapi.VFIO_TYPE << 8) | (uapi.VFIO_BASE + index)
}

describe('numbers of <linux/vfio.h>', () => {
  it('0.2 and 0.3 our constants are what the 6.1 header printed', () => {
    const ours = Object.keys(RECORDED).map((name) => [name, (uapi as Record<string, unknown>)[name]])
    expect(Object.fromEntries(ours)).toEqual(RECORDED)
  })

  it('the installed header agrees with our constants and structures, where gcc can ask it', () => {
    const expected = [...Object.entries(RECORDED), ...STRUCTS_OF_6_1.flatMap(expressions)]
    expect(expected).toHaveLength(25 + 21)
    if (!hasCompiler) return
    const values = evaluate(expected.map(([text]) => text))
    expect(expected.map(([text], index) => [text, values[index]])).toEqual(expected)
  })

  it('0.2 and 0.3 what came after 6.1 has the listed numbers', () => {
    expect({
      precopyInfo: uapi.VFIO_MIG_GET_PRECOPY_INFO,
      reinit: uapi.VFIO_PRECOPY_INFO_REINIT,
      preCopy: uapi.VFIO_MIGRATION_PRE_COPY,
      states: [uapi.VFIO_DEVICE_STATE_PRE_COPY, uapi.VFIO_DEVICE_STATE_PRE_COPY_P2P],
      features: [
        uapi.VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
        uapi.VFIO_DEVICE_FEATURE_BUS_MASTER,
        uapi.VFIO_DEVICE_FEATURE_DMA_BUF,
        uapi.VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
      ],
    }).toEqual({ precopyInfo: 0x3b79, reinit: 1, preCopy: 4, states: [6, 7], features: [9, 10, 11, 12] })
  })

  it('requests are the type character and an index from the base', () => {
    expect([uapi.VFIO_DEVICE_RESET, uapi.VFIO_DEVICE_FEATURE, uapi.VFIO_MIG_GET_PRECOPY_INFO]).toEqual([
      request(11),
      request(17),
      request(21),
    ])
  })

  it('0.1 errno numbers are the listed ones', () => {
    const listed = `ENOENT 2 EINTR 4 EIO 5 E2BIG 7 EBADF 9 EAGAIN 11 ENOMEM 12 EFAULT 14 EBUSY 16 EEXIST 17
      ENODEV 19 EINVAL 22 ENFILE 23 EMFILE 24 ENOTTY 25 EFBIG 27 ENOSPC 28 ESPIPE 29 ENOMSG 42 EOVERFLOW 75
      EOPNOTSUPP 95 ENOTCONN 107`.matchAll(/(\w+) (\d+)/g)
    const numbers = Object.fromEntries([...listed].map(([, name, number]) => [name, Number(number)]))
    expect(Object.keys(numbers)).toHaveLength(22)
    expect(uapi.Errno).toMatchObject(numbers)
  })

  it('0.1 poll bits are the listed ones', () => {
    const { POLLIN, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLWRNORM, POLLRDHUP } = uapi
    expect([POLLIN, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLWRNORM, POLLRDHUP]).toEqual([
      1, 4, 8, 0x10, 0x20, 0x40, 0x100, 0x2000,
    ])
  })

  it.each([
    ['VFIO_DEVICE_STATE_', uapi.DeviceState, uapi.deviceStateName],
    ['VFIO_MIGRATION_', uapi.MigrationFlag, undefined],
    ['VFIO_DEVICE_FEATURE_', uapi.DeviceFeature, uapi.deviceFeatureName],
  ])('%s spellings have the values of their const object, and names lead back', (prefix, object, nameOf) => {
    for (const [name, value] of Object.entries(object)) {
      expect((uapi as Record<string, unknown>)[prefix + name], name).toBe(value)
      if (nameOf !== undefined) expect(nameOf(value)).toBe(name)
    }
  })
})
