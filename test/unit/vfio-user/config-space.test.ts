import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PciBar, PciFunction } from '../../../src/device/pci-function.ts'
import { type ConfigSpace, createConfigSpace } from '../../../src/vfio-user/config-space.ts'

/** A function with everything. */
function express(changes: Partial<PciFunction> = {}): PciFunction {
  return {
    vendor: 0x1234,
    device: 0x5678,
    subsystemVendor: 0x9abc,
    subsystemDevice: 0xdef0,
    classCode: 0x088001,
    revision: 0x42,
    express: true,
    bars: [
      { index: 0, kind: 'memory', byteLength: 4096 },
      { index: 1, kind: 'io', byteLength: 32 },
      { index: 2, kind: 'memory', byteLength: 2 ** 33, bits: 64, prefetchable: true },
    ],
    interrupts: { intx: 1, msi: 4, msix: 3 },
    intxAsserted: false,
    connect: () => () => {},
    ...changes,
  }
}

/** One without capabilities. */
function conventional(changes: Partial<PciFunction> = {}): PciFunction {
  return express({
    express: false,
    bars: [{ index: 0, kind: 'io', byteLength: 8 }],
    interrupts: { intx: 1, msi: 0, msix: 0 },
    ...changes,
  })
}

/** A memory BAR. */
function memory(index: number, byteLength: number, rest: Partial<PciBar> = {}): PciBar {
  return { index, kind: 'memory', byteLength, ...rest }
}

/** The BAR that MSI-X takes beside others. */
function msixBar(bars: PciBar[]): number | undefined {
  return createConfigSpace(express({ bars })).msix?.bar.index
}

const ALL_ONES = Uint8Array.of(0xff, 0xff, 0xff, 0xff)
const PM = 0x40
const PCIE = 0x48
const MSI = 0x84
const MSIX = 0x9c

function bytes(space: ConfigSpace, offset = 0, byteLength: number = space.byteLength): Uint8Array {
  const dst = new Uint8Array(byteLength).fill(0xee)
  space.read(offset, dst)
  return dst
}

function u32(space: ConfigSpace, offset: number): number {
  return new DataView(bytes(space, offset, 4).buffer).getUint32(0, true)
}

function u16(space: ConfigSpace, offset: number): number {
  return u32(space, offset) & 0xffff
}

function setU32(space: ConfigSpace, offset: number, value: number): void {
  const src = new DataView(new ArrayBuffer(4))
  src.setUint32(0, value, true)
  space.write(offset, new Uint8Array(src.buffer))
}

function setU16(space: ConfigSpace, offset: number, value: number): void {
  space.write(offset, Uint8Array.of(value, value >> 8))
}

/** `00 11 ...` of `byteLength` bytes, zeros in runs of 16 left out. */
function dump(space: ConfigSpace): string[] {
  const all = bytes(space)
  return Array.from({ length: all.length / 16 }, (_, row) => row * 16)
    .filter((at) => all.subarray(at, at + 16).some((byte) => byte !== 0))
    .map((at) => {
      const row = [...all.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'))
      return `${at.toString(16).padStart(2, '0')}: ${row.join(' ')}`
    })
}

describe('configuration space at power-on', () => {
  it('of a conventional function is a header of 256 bytes', () => {
    const space = createConfigSpace(conventional())
    expect(space.byteLength).toBe(256)
    expect(dump(space)).toEqual([
      '00: 34 12 78 56 00 00 00 00 42 01 80 08 00 00 00 00',
      '10: 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00',
      '20: 00 00 00 00 00 00 00 00 00 00 00 00 bc 9a f0 de',
      '30: 00 00 00 00 00 00 00 00 00 00 00 00 00 01 00 00',
    ])
    expect([space.msi, space.msix]).toEqual([undefined, undefined])
  })

  it('of a PCI Express function has a chain of four capabilities and 4096 bytes', () => {
    const space = createConfigSpace(express())
    expect(space.byteLength).toBe(4096)
    expect(dump(space)).toEqual([
      '00: 34 12 78 56 00 00 10 00 42 01 80 08 00 00 00 00',
      '10: 00 00 00 00 01 00 00 00 0c 00 00 00 00 00 00 00',
      '20: 00 00 00 00 00 00 00 00 00 00 00 00 bc 9a f0 de',
      '30: 00 00 00 00 40 00 00 00 00 00 00 00 00 01 00 00',
      '40: 01 48 03 00 08 00 00 00 10 84 12 00 00 80 00 00',
      '50: 10 28 00 00 11 00 40 00 00 00 11 00 00 00 00 00',
      '60: 00 00 00 00 00 00 00 00 00 00 00 00 10 00 00 00',
      '70: 00 00 00 00 02 00 00 00 01 00 00 00 00 00 00 00',
      '80: 00 00 00 00 05 9c 84 01 00 00 00 00 00 00 00 00',
      '90: 00 00 00 00 00 00 00 00 00 00 00 00 11 00 02 00',
      // Table at 0, pending bits at 0x800 of BAR 4.
      'a0: 04 00 00 00 04 08 00 00 00 00 00 00 00 00 00 00',
    ])
  })

  it('takes the ids for those of the subsystem, and is no legacy endpoint without I/O ports', () => {
    const { subsystemVendor: _v, subsystemDevice: _d, ...rest } = express({ bars: [] })
    const space = createConfigSpace(rest)
    expect(u32(space, 0x2c)).toBe(0x5678_1234)
    expect(u16(space, PCIE + 2)).toBe(0x0002)
  })

  it('without interrupts has no pin, and its command register no INTx disable', () => {
    const space = createConfigSpace(conventional({ interrupts: { intx: 0, msi: 0, msix: 0 } }))
    space.write(0x04, ALL_ONES)
    expect([bytes(space, 0x3d, 1)[0], u16(space, 0x04)]).toEqual([0, 0x0145])
  })
})

describe('base address registers', () => {
  it.each<[PciBar, number, number?]>([
    [{ index: 0, kind: 'io', byteLength: 8 }, 0xffff_fff9],
    [{ index: 5, kind: 'io', byteLength: 4 }, 0xffff_fffd],
    [{ index: 1, kind: 'memory', byteLength: 16 }, 0xffff_fff0],
    [{ index: 1, kind: 'memory', byteLength: 4096, bits: 32 }, 0xffff_f000],
    [{ index: 2, kind: 'memory', byteLength: 2 ** 31, prefetchable: true }, 0x8000_0008],
    [{ index: 2, kind: 'memory', byteLength: 2 ** 20, bits: 64 }, 0xfff0_0004, 0xffff_ffff],
    [
      { index: 4, kind: 'memory', byteLength: 2 ** 32, bits: 64, prefetchable: true },
      0x0000_000c,
      0xffff_ffff,
    ],
    [{ index: 0, kind: 'memory', byteLength: 2 ** 34, bits: 64 }, 0x0000_0004, 0xffff_fffc],
  ])('%o written with all ones shows its size', (bar, low, high) => {
    const space = createConfigSpace(conventional({ bars: [bar] }))
    const at = 0x10 + bar.index * 4
    for (let other = 0x10; other < 0x28; other += 4) setU32(space, other, 0xffff_ffff)
    expect(u32(space, at)).toBe(low)
    for (let other = 0x10; other < 0x28; other += 4)
      if (other !== at) expect(u32(space, other)).toBe(other === at + 4 ? (high ?? 0) : 0)
    setU32(space, at, 0x1234_5678)
    expect(u32(space, at)).toBe(((0x1234_5678 & low) | (low & (bar.kind === 'io' ? 3 : 15))) >>> 0)
  })

  it('keep an address that is written byte by byte', () => {
    const space = createConfigSpace(express())
    for (const [i, byte] of [0xff, 0xff, 0xd0, 0xfe].entries()) space.write(0x10 + i, Uint8Array.of(byte))
    expect(u32(space, 0x10)).toBe(0xfed0_f000)
  })
})

describe('command and status', () => {
  it('say what software has enabled', () => {
    const space = createConfigSpace(express())
    const seen = () => [space.ioEnabled, space.memoryEnabled, space.busMaster, space.intxDisabled]
    expect(seen()).toEqual([false, false, false, false])
    setU16(space, 0x04, 0xffff)
    expect([u16(space, 0x04), ...seen()]).toEqual([0x0547, true, true, true, true])
    setU16(space, 0x04, 0x0002)
    expect(seen()).toEqual([false, true, false, false])
    setU16(space, 0x04, 0x0005)
    expect(seen()).toEqual([true, false, true, false])
  })

  it('have no enable for what no BAR is there for', () => {
    const space = createConfigSpace(conventional())
    setU16(space, 0x04, 0xffff)
    expect(u16(space, 0x04)).toBe(0x0545)
  })

  it('show the level of INTx, disabled or not, also to a read of one byte', () => {
    const pci = { ...express(), intxAsserted: true }
    const space = createConfigSpace(pci)
    setU16(space, 0x04, 0x0400)
    expect([u16(space, 0x06), bytes(space, 0x06, 1)[0]]).toEqual([0x0018, 0x18])
    pci.intxAsserted = false
    expect(u16(space, 0x06)).toBe(0x0010)
  })

  it('keep interrupt line and cache line size', () => {
    const space = createConfigSpace(express())
    space.write(0x3c, ALL_ONES)
    space.write(0x0c, ALL_ONES)
    expect([u32(space, 0x3c), u32(space, 0x0c)]).toEqual([0x0000_01ff, 0x0000_00ff])
  })
})

describe('power management', () => {
  it('goes to D3hot and back and loses nothing; D1 and D2 are not there', () => {
    const space = createConfigSpace(express())
    setU32(space, 0x10, 0xfed0_0000)
    setU16(space, 0x04, 7)
    for (const [written, found] of [
      [1, 0],
      [3, 3],
      [2, 3],
      [1, 3],
      [0, 0],
      [2, 0],
    ] as const) {
      setU16(space, PM + 4, written)
      expect(u16(space, PM + 4)).toBe(0x8 | found)
      expect([space.ioEnabled, space.memoryEnabled, space.busMaster]).toEqual(Array(3).fill(found === 0))
    }
    expect([u32(space, 0x10), u16(space, 0x04)]).toEqual([0xfed0_0000, 7])
  })
})

describe('PCI Express', () => {
  it('lets software set what a device has, and no function level reset', () => {
    const space = createConfigSpace(express())
    setU16(space, PCIE + 8, 0xffff)
    setU32(space, PCIE + 16, 0xffff_ffff)
    setU32(space, PCIE + 40, 0xffff_ffff)
    setU32(space, PCIE + 48, 0xffff_ffff)
    expect(u32(space, PCIE + 8)).toBe(0x0000_781f)
    expect(u32(space, PCIE + 16)).toBe(0x0011_00cb)
    expect([u32(space, PCIE + 40), u32(space, PCIE + 48)]).toEqual([0x10, 0xf])
    // Bit 28 of the capabilities would say that there is one.
    expect(u32(space, PCIE + 4)).toBe(0x8000)
  })
})

describe('MSI', () => {
  it('says how it is set up', () => {
    const space = createConfigSpace(express())
    expect(space.msi).toMatchObject({ enabled: false, vectors: 1, address: 0n, data: 0 })
    setU32(space, MSI + 4, 0xfee0_1003)
    setU32(space, MSI + 8, 0x8765_4321)
    setU32(space, MSI + 12, 0xffff_4021)
    setU32(space, MSI + 16, 0xffff_fff5)
    setU32(space, MSI + 20, 0xffff_ffff)
    setU16(space, MSI + 2, 0x0021)
    expect(space.msi).toMatchObject({
      enabled: true,
      vectors: 4,
      address: 0x8765_4321_fee0_1000n,
      data: 0x4021,
    })
    expect([0, 1, 2, 3].map((vector) => space.msi?.isMasked(vector))).toEqual([true, false, true, false])
    expect([u32(space, MSI + 16), u32(space, MSI + 20)]).toEqual([5, 0])
    expect(u16(space, MSI + 2)).toBe(0x01a5)
  })

  it('keeps the number of vectors when more are asked for than there are', () => {
    const space = createConfigSpace(express())
    setU16(space, MSI + 2, 0x0010)
    setU16(space, MSI + 2, 0x0031)
    expect([u16(space, MSI + 2), space.msi?.vectors, space.msi?.enabled]).toEqual([0x0195, 2, true])
  })

  it.each([
    [1, 0x0180, 1],
    [2, 0x0182, 3],
    [32, 0x018a, 0xffff_ffff],
  ])('of %i vectors has as many mask bits', (msi, control, mask) => {
    const space = createConfigSpace(conventional({ interrupts: { intx: 0, msi, msix: 0 } }))
    expect([u16(space, 0x40), u16(space, 0x42)]).toEqual([0x0005, control])
    setU32(space, 0x50, 0xffff_ffff)
    expect(u32(space, 0x50)).toBe(mask)
  })
})

describe('MSI-X', () => {
  it.each([
    [1, 4096, 2048],
    [3, 4096, 2048],
    [128, 4096, 2048],
    [129, 8192, 4096],
    [2048, 65_536, 32_768],
  ])('of %i vectors has a BAR of %i bytes', (msix, byteLength, pending) => {
    const space = createConfigSpace(express({ interrupts: { intx: 0, msi: 0, msix } }))
    expect(space.bars.at(-1)).toEqual({ index: 4, kind: 'memory', byteLength })
    expect(space.bars.map(({ index }) => index)).toEqual([0, 1, 2, 4])
    const at = MSI
    expect([u16(space, at + 2), u32(space, at + 4), u32(space, at + 8)]).toEqual([msix - 1, 4, pending + 4])
    setU32(space, 0x20, 0xffff_ffff)
    expect(u32(space, 0x20)).toBe(2 ** 32 - byteLength)
  })

  it('says what is enabled and masked, a vector or all', () => {
    const space = createConfigSpace(express())
    const masked = () => [0, 1, 2].map((vector) => space.msix?.isMasked(vector))
    expect([space.msix?.vectors, space.msix?.enabled, ...masked()]).toEqual([3, false, true, true, true])
    space.msix?.writeBar(16 + 12, Uint8Array.of(0xfe))
    expect(masked()).toEqual([true, false, true])
    setU16(space, MSIX + 2, 0xffff)
    expect([u16(space, MSIX + 2), space.msix?.enabled, ...masked()]).toEqual([0xc002, true, true, true, true])
    setU16(space, MSIX + 2, 0x8000)
    expect([space.msix?.enabled, ...masked()]).toEqual([true, true, false, true])
  })

  it('has a table that is read and written in any pieces, and pending bits that are zero', () => {
    const { msix } = createConfigSpace(express())
    const bar = new Uint8Array(4096).fill(0xff)
    msix?.writeBar(0, bar)
    msix?.readBar(0, bar)
    const entry = [0xfc, ...Array<number>(11).fill(0xff), 1, 0, 0, 0]
    expect([...bar.subarray(0, 48)]).toEqual([...entry, ...entry, ...entry])
    expect(bar.subarray(48).every((byte) => byte === 0)).toBe(true)
    msix?.writeBar(30, Uint8Array.of(1, 2, 3, 4, 5))
    const part = new Uint8Array(7)
    msix?.readBar(29, part)
    // The control word of an entry has one bit; addresses begin at multiples of 4.
    expect([...part]).toEqual([0, 0, 0, 0, 4, 5, 0xff])
    msix?.readBar(4090, part.subarray(0, 6))
    expect([...part.subarray(0, 6)]).toEqual(Array(6).fill(0))
  })

  it('takes the lowest BAR that is free', () => {
    expect(msixBar([])).toBe(0)
    expect(msixBar([{ index: 0, kind: 'memory', byteLength: 16, bits: 64 }])).toBe(2)
    expect(msixBar([{ index: 1, kind: 'memory', byteLength: 16 }])).toBe(0)
  })
})

describe('access', () => {
  it.each([
    [-1, 1],
    [0.5, 1],
    [Number.NaN, 1],
    [256, 1],
    [253, 4],
    [0, 257],
  ])('at %d of %i bytes is EINVAL and changes nothing', (offset, byteLength) => {
    const space = createConfigSpace(conventional())
    const before = bytes(space)
    const refused = expect.objectContaining({ code: 'EINVAL' })
    expect(() => space.read(offset, new Uint8Array(byteLength))).toThrow(refused)
    expect(() => space.write(offset, new Uint8Array(byteLength).fill(0xff))).toThrow(refused)
    expect(bytes(space)).toEqual(before)
  })

  it('of no bytes at the end, and of all bytes, is one', () => {
    const space = createConfigSpace(express())
    space.read(4096, new Uint8Array(0))
    space.write(0, new Uint8Array(4096).fill(0xff))
    expect(space.memoryEnabled).toBe(false) // All ones are D3hot, too.
    expect(bytes(space, 0x100, 0xf00).every((byte) => byte === 0)).toBe(true)
  })

  it('after a reset finds everything as at power-on, the MSI-X table too', () => {
    const space = createConfigSpace(express())
    const before = bytes(space)
    const table = new Uint8Array(48)
    space.msix?.readBar(0, table)
    space.write(0, new Uint8Array(4096).fill(0xff))
    space.msix?.writeBar(0, new Uint8Array(48).fill(0xfe))
    space.reset()
    expect(bytes(space)).toEqual(before)
    setU16(space, 0x04, 7)
    expect([space.memoryEnabled, space.msi?.vectors]).toEqual([true, 1])
    const after = new Uint8Array(48)
    space.msix?.readBar(0, after)
    expect(after).toEqual(table)
  })
})

describe('a function that makes no sense', () => {
  it.each<[string, Partial<PciFunction>]>([
    ['vendor', { vendor: 0xffff }],
    ['device', { device: 0x1_0000 }],
    ['subsystemVendor', { subsystemVendor: -1 }],
    ['subsystemDevice', { subsystemDevice: 1.5 }],
    ['classCode', { classCode: 0x100_0000 }],
    ['revision', { revision: 256 }],
    ['interrupts.intx', { interrupts: { intx: 2 as 1, msi: 0, msix: 0 } }],
    ['interrupts.msi', { interrupts: { intx: 0, msi: 64, msix: 0 } }],
    ['power of two', { interrupts: { intx: 0, msi: 3, msix: 0 } }],
    ['interrupts.msix', { interrupts: { intx: 0, msi: 0, msix: 2049 } }],
    ['index', { bars: [memory(6, 4096)] }],
    ['index', { bars: [memory(5, 4096, { bits: 64 })] }],
    ['32 or 64', { bars: [memory(0, 4096, { bits: 16 as 32 })] }],
    ['twice', { bars: [memory(0, 4096, { bits: 64 }), memory(1, 4096)] }],
    ['power of two', { bars: [memory(0, 4095)] }],
    ['power of two', { bars: [memory(0, 0)] }],
    ['power of two', { bars: [memory(0, 8)] }],
    ['power of two', { bars: [memory(0, 2 ** 32)] }],
    ['leave that to memory', { bars: [{ index: 0, kind: 'io', byteLength: 8, prefetchable: true }] }],
    ['leave one', { bars: [0, 2, 4].map((index) => memory(index, 4096, { bits: 64 })) }],
  ])('is EINVAL: %s', (reason, changes) => {
    expect(() => createConfigSpace(express(changes))).toThrow(
      expect.objectContaining({ code: 'EINVAL', message: expect.stringContaining(reason) as string }),
    )
  })
})

/** What 1 can be written to, typed in from the specification: offset, bytes, bits. */
const WRITABLE: readonly [number, number, number][] = [
  [0x04, 2, 0x0547],
  [0x0c, 1, 0xff],
  [0x10, 4, 0xffff_f000],
  [0x14, 4, 0xffff_ffe0],
  [0x18, 4, 0],
  [0x1c, 4, 0xffff_fffe],
  [0x20, 4, 0xffff_f000],
  [0x3c, 1, 0xff],
  [PM + 4, 2, 0x0003],
  [PCIE + 8, 2, 0x781f],
  [PCIE + 16, 2, 0x00cb],
  [PCIE + 40, 2, 0x0010],
  [PCIE + 48, 2, 0x000f],
  [MSI + 2, 2, 0x0071],
  [MSI + 4, 4, 0xffff_fffc],
  [MSI + 8, 4, 0xffff_ffff],
  [MSI + 12, 2, 0xffff],
  [MSI + 16, 4, 0x0000_000f],
  [MSIX + 2, 2, 0xc000],
]

describe('whatever is written', () => {
  const writable = new Uint8Array(4096)
  for (const [offset, byteLength, bits] of WRITABLE)
    for (let i = 0; i < byteLength; i++) writable[offset + i] = bits >>> (8 * i)
  const write = fc.record({
    // Half of the writes where registers are.
    offset: fc.oneof(fc.nat(0xff), fc.nat(4095)),
    data: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  })

  it('read-only bits stay, and a register keeps what was written to its writable bits', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
        const space = createConfigSpace(express())
        const expected = bytes(space)
        for (const { offset, data } of writes) {
          const src = data.subarray(0, 4096 - offset)
          space.write(offset, src)
          for (const [i, byte] of src.entries()) {
            const bits = writable[offset + i] as number
            expected[offset + i] = ((expected[offset + i] as number) & ~bits) | (byte & bits)
          }
          // The two fields whose value may be refused.
          const found = bytes(space)
          const power = (found[PM + 4] as number) & 3
          const count = ((found[MSI + 2] as number) >> 4) & 7
          expect([0, 3]).toContain(power)
          expect(count).toBeLessThanOrEqual(2)
          expected[PM + 4] = ((expected[PM + 4] as number) & ~3) | power
          expected[MSI + 2] = ((expected[MSI + 2] as number) & ~0x70) | (count << 4)
          const different = found.findIndex((byte, at) => byte !== expected[at])
          expect(different).toBe(-1)
        }
      }),
    )
  })

  it('a read of any part is that part of the whole', () => {
    fc.assert(
      fc.property(write, fc.nat(4095), fc.integer({ min: 0, max: 600 }), ({ offset, data }, from, length) => {
        const space = createConfigSpace(express())
        space.write(offset, data.subarray(0, 4096 - offset))
        const part = bytes(space, from, Math.min(length, 4096 - from))
        expect(part).toEqual(bytes(space).slice(from, from + part.length))
      }),
    )
  })
})
