import { describe, expect, it } from 'vitest'
import { Assembler } from '../../../demo/devices/v86/guest/assembler.ts'
import { tinyBios } from '../../../demo/devices/v86/guest/bios.ts'
import { plasmaBootSector } from '../../../demo/devices/v86/guest/boot-sector.ts'

describe('the guest', () => {
  it('is a boot sector', () => {
    const sector = plasmaBootSector()
    expect(sector.length).toBe(512)
    expect([...sector.subarray(510)]).toEqual([0x55, 0xaa])
  })

  it('has a BIOS that begins where the processor does', () => {
    const bios = tinyBios()
    expect(bios.length).toBe(65_536)
    expect([...bios.subarray(0xfff0, 0xfff5)]).toEqual([0xea, 0x00, 0xe0, 0x00, 0xf0])
  })
})

describe('Assembler', () => {
  it('fills in labels, before and after their use', () => {
    const code = new Assembler(0x100)
      .label('top')
      .mov('ax', 'end')
      .jump('jmp', 'top')
      .jumpNear('end')
      .label('end')
    expect([...code.assemble()]).toEqual([0xb8, 0x08, 0x01, 0xeb, 0xfb, 0xe9, 0x00, 0x00])
  })

  it.each([
    ['a label that is nowhere', () => new Assembler(0).jumpNear('x').assemble(), /x is nowhere/],
    ['a label that is there twice', () => new Assembler(0).label('x').label('x'), /there twice/],
    [
      'a short jump too far',
      () => new Assembler(0).jump('je', 'x').padTo(200).label('x').assemble(),
      /too far/,
    ],
    ['code past its place', () => new Assembler(0).mov('ax', 1).padTo(2), /passes offset 0x2 by 1/],
  ])('refuses %s', (_, call, reason) => {
    expect(call).toThrow(reason)
  })
})
