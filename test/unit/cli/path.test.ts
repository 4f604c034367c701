import { describe, expect, it } from 'vitest'
import { describePath } from '../../../src/cli/path.ts'
import { flagNames, parseFlags, parseInteger, parseState } from '../../../src/cli/words.ts'
import { arcs } from '../../../src/fsm/index.ts'
import { deviceStateName } from '../../../src/uapi/state.ts'
import { outcome } from '../../support/vfio-error.ts'

describe('describePath', () => {
  it('gives the steps with what each arc does, and where a failure can leave the device', () => {
    const { lines, ...description } = describePath('RUNNING', 'STOP_COPY', '7')
    expect(description).toEqual({
      from: 'RUNNING',
      to: 'STOP_COPY',
      flags: 7,
      flagNames: ['stop-copy', 'p2p', 'pre-copy'],
      steps: [
        {
          from: 'RUNNING',
          to: 'RUNNING_P2P',
          opens: null,
          ends: false,
          does: 'finishes peer-to-peer DMA and starts no more',
        },
        {
          from: 'RUNNING_P2P',
          to: 'STOP',
          opens: null,
          ends: false,
          does: 'stops DMA, interrupts and every change of state',
        },
        {
          from: 'STOP',
          to: 'STOP_COPY',
          opens: 'save',
          ends: false,
          does: 'makes the device state readable',
        },
      ],
      returnsFd: true,
      afterFailure: ['RUNNING', 'RUNNING_P2P', 'STOP', 'ERROR'],
    })
    expect(lines).toEqual([
      'RUNNING to STOP_COPY on a device with stop-copy, p2p, pre-copy (flags 7): 3 arcs, returns a data fd',
      '  1  RUNNING -> RUNNING_P2P  finishes peer-to-peer DMA and starts no more',
      '  2  RUNNING_P2P -> STOP     stops DMA, interrupts and every change of state',
      '  3  STOP -> STOP_COPY       makes the device state readable; opens a saving session',
      'If the call fails, the device is in RUNNING, RUNNING_P2P, STOP or ERROR: get the state to know.',
    ])
  })

  it('shows the end of a session and the load on the way out of RESUMING', () => {
    const { steps, lines } = describePath('resuming', 'stop', '1')
    expect(steps.map(({ ends }) => ends)).toEqual([true])
    expect(lines[1]).toMatch(/loads and checks.*; ends the session$/)
  })

  it('keeps the session inside the saving group and returns no data fd', () => {
    const { steps, returnsFd } = describePath('pre-copy', 'stop-copy')
    expect(steps.map(({ to, opens, ends }) => [to, opens, ends])).toEqual([
      ['PRE_COPY_P2P', null, false],
      ['STOP_COPY', null, false],
    ])
    expect(returnsFd).toBe(false)
  })

  it('says that going to the same state does nothing', () => {
    const { steps, afterFailure, lines } = describePath('STOP', 'STOP')
    expect([steps, afterFailure]).toEqual([[], []])
    expect(lines.join(' ')).toContain('does nothing and returns no data fd')
  })

  it('says of every arc of every set what the device does', () => {
    for (const set of [1, 3, 5, 7]) {
      for (const { from, to } of arcs(set)) {
        const [step] = describePath(deviceStateName(from), deviceStateName(to), String(set)).steps
        expect(step?.does, `${deviceStateName(from)} ${deviceStateName(to)}`).not.toBe('')
      }
    }
  })

  it('leaves a refusal to the state machine and unknown words to the command line', () => {
    expect(outcome(() => describePath('STOP_COPY', 'PRE_COPY', '7'))).toBe('EINVAL')
    expect(outcome(() => describePath('RUNNING', '9', '7'))).toBe('EINVAL')
    expect(outcome(() => describePath('RUNNING', 'STOP', '2'))).toBe('EINVAL')
    expect(() => describePath('RUNNING', 'HALTED', '7')).toThrow(RangeError)
    expect(() => describePath('RUNNING', 'STOP', 'postcopy')).toThrow(RangeError)
  })
})

describe('words of the command line', () => {
  it.each([
    ['PRE_COPY_P2P', 7],
    ['pre-copy-p2p', 7],
    ['VFIO_DEVICE_STATE_STOP', 1],
    ['4', 4],
    ['0x4', 4],
    ['9', 9],
  ])('parseState reads %s as %i', (word, state) => {
    expect(parseState(word)).toBe(state)
  })

  it.each(['', 'V1_STOP', 'toString', '__proto__', '1.5'])(
    'parseState refuses "%s" and names the states',
    (word) => {
      expect(() => parseState(word)).toThrow(/use ERROR, STOP, RUNNING/)
    },
  )

  it.each([
    ['7', 7],
    ['0x3', 3],
    ['stop-copy,p2p,pre-copy', 7],
    ['STOP_COPY|PRE_COPY', 5],
    ['VFIO_MIGRATION_STOP_COPY', 1],
  ])('parseFlags reads %s as %i', (text, flags) => {
    expect(parseFlags(text)).toBe(flags)
  })

  it('flagNames names unknown bits by number', () => {
    expect(flagNames(0b1000_0101)).toEqual(['stop-copy', 'pre-copy', 'bit 7'])
    expect(flagNames(1n << 63n)).toEqual(['bit 63'])
    expect(flagNames(0)).toEqual([])
  })

  it('parseInteger takes whole numbers only, and never gives -0', () => {
    expect(['-22', '+5', '0x3B75', '-0', '1e3', '', '0x', '9'.repeat(17)].map(parseInteger)).toEqual([
      -22,
      5,
      0x3b75,
      0,
      undefined,
      undefined,
      undefined,
      undefined,
    ])
  })
})
