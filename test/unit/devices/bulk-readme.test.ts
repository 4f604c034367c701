/** What bulk's README tells the author of a guest's driver, held against the device. */

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BULK_PCI, BulkRegister, createBulk, DescriptorOp } from '../../../src/devices/index.ts'
import { VfioDevice } from '../../../src/index.ts'

const readme = readFileSync(new URL('../../../src/devices/bulk/README.md', import.meta.url), 'utf8')
/** Cells of all table rows. */
const rows = readme
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((text) => text.trim()),
  )
const registers = rows
  .filter(([offset = '', , , access = '']) => /^[0-9a-f]{2}$/.test(offset) && /^(?:ro|rw|w1c)$/.test(access))
  .map(([offset, bytes, name, access, initial]) => ({
    offset: Number.parseInt(offset as string, 16),
    byteLength: Number(bytes),
    name: name as string,
    access: access as string,
    initial: initial as string,
  }))

/** What a row of two cells says. */
function cell(name: string): string | undefined {
  return rows.find(([first]) => first === name)?.[1]
}

const bulk = createBulk({ memoryBytes: 4096 })
let device: VfioDevice

beforeAll(async () => {
  device = await VfioDevice.open(bulk)
})
afterAll(() => device.close())

function value(offset: number, byteLength: number): bigint {
  const bytes = Buffer.alloc(8)
  bulk.regions.read(0, offset, bytes.subarray(0, byteLength))
  return bytes.readBigUInt64LE()
}

describe("bulk's README", () => {
  it('has all registers, at their places', () => {
    expect(Object.fromEntries(registers.map(({ name, offset }) => [name, offset]))).toEqual(BulkRegister)
  })

  it.each(registers.filter(({ initial }) => initial !== ''))(
    '$name holds $initial at power-on',
    ({ name, offset, byteLength, initial }) => {
      expect(value(offset, byteLength)).toBe(BigInt(name === 'ID' ? `0x${initial}` : initial))
    },
  )

  it.each(registers.filter(({ access }) => access === 'ro'))(
    '$name is read-only',
    ({ offset, byteLength }) => {
      const before = value(offset, byteLength)
      bulk.regions.write(0, offset, new Uint8Array(byteLength).fill(0xa5))
      expect(value(offset, byteLength)).toBe(before)
    },
  )

  it.each(registers.filter(({ access }) => access === 'rw'))(
    '$name can be written',
    ({ offset, byteLength }) => {
      const before = value(offset, byteLength)
      const other = before === 1n ? 2 : 1
      bulk.regions.write(0, offset, Uint8Array.of(other, 0, 0, 0, 0, 0, 0, 0).subarray(0, byteLength))
      expect(value(offset, byteLength)).toBe(BigInt(other))
    },
  )

  it('has all operations', () => {
    const found = rows
      .map(([operation = '']) => /^(\d) ([A-Z_]+)$/.exec(operation))
      .filter((match) => match !== null)
    expect(Object.fromEntries(found.map(([, code, name]) => [name, Number(code)]))).toEqual(DescriptorOp)
  })

  it('has its PCI identity', () => {
    const { vendor, device: id, classCode } = BULK_PCI
    expect(cell('vendor, device')).toBe(`${vendor.toString(16)}:${id.toString(16)}, subsystem the same`)
    expect(cell('class')).toBe(`${classCode.toString(16).padStart(6, '0')}, a system peripheral`)
    expect(cell('revision')).toBe(`${bulk.pci.revision}: the version of its state`)
  })
})
