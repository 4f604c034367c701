import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FdTable } from '../../../src/device/fd-table.ts'
import { VfioDevice } from '../../../src/device/vfio-device.ts'
import { createMtty } from '../../../src/devices/mtty/mtty.ts'
import { VfioError } from '../../../src/errors.ts'
import { ANSWER_PARTS } from '../../oracle/parts/answers.mjs'
import { formatRecording, parseRecording } from '../../oracle/recording.mjs'
import { judgeCase } from '../../oracle/run-part.mjs'
import { stopcopyCards } from '../../oracle/stopcopy-card.mjs'
import { KERNEL_ANSWERS } from '../../support/migration-oracle.ts'

const RECORDING = readFileSync(new URL('../../golden/mtty/linux-6.12-answers.txt', import.meta.url), 'utf8')

interface Part {
  readonly title: string
  readonly cases: readonly { readonly name: string }[]
}
interface Cell {
  readonly verdict: string
}

const recorded: Part[] = Object.values(ANSWER_PARTS)

const answers: Map<string, string> = parseRecording(RECORDING)
const openCard = stopcopyCards({ FdTable, VfioDevice, VfioError, createMtty })

describe('Linux 6.12.117, recorded by the oracle: every case of test/oracle', () => {
  it('the recording has an answer for each case, and no other', () => {
    const cases = recorded.flatMap((part) => part.cases.map(({ name }) => `${part.title}\t${name}`))
    expect(new Set(cases).size).toBe(cases.length)
    expect([...answers.keys()].sort()).toEqual(cases.sort())
  })

  it.each(recorded)('$title: stopcopy answers the same, or differs as named', async (part) => {
    const wrong: Cell[] = []
    for (const test of part.cases) {
      const answer = answers.get(`${part.title}\t${test.name}`)
      const cells: Cell[] = await judgeCase(part, test, answer, openCard)
      wrong.push(...cells.filter(({ verdict }) => verdict !== 'equal' && verdict !== 'named'))
    }
    expect(wrong).toEqual([])
  })

  it('the request matrix is the one that was recorded before, by another program', () => {
    const before = KERNEL_ANSWERS.map(({ rc, state, fd }) => `rc=${rc} state=${state} fd=${fd ? 1 : 0}`)
    const matrix = [...answers].filter(
      ([name]) => name.startsWith('request matrix') && !name.includes('stream written'),
    )
    expect(matrix.map(([, answer]) => answer)).toEqual(before)
  })

  it('a changed answer is seen', async () => {
    const matrix = recorded[0]!
    const [cell] = await judgeCase(matrix, matrix.cases[0], 'rc=0 state=ERROR fd=0', openCard)
    expect(cell).toMatchObject({ verdict: 'unnamed', stopcopy: 'rc=-22 state=STOP fd=0' })
  })

  it('a named difference that vanished, or that is another one, is seen', async () => {
    const logging = recorded.find(({ title }) => title === 'DMA logging checks')!
    const named = logging.cases.find(({ name }) => name === 'START, page size 0')
    const verdicts = await Promise.all(
      ['rc=-22 page size 0', 'rc=0 page size 0', 'rc=-14 page size 0'].map(async (answer) => {
        const [cell]: Cell[] = await judgeCase(logging, named, answer, openCard)
        return cell?.verdict
      }),
    )
    expect(verdicts).toEqual(['vanished', 'named', 'unnamed'])
  })

  it('a recording written again is the same', () => {
    const cells = [...answers].map(([key, kernel]) => {
      const [part, name] = key.split('\t')
      return { part, name, kernel, recorded: true }
    })
    expect(formatRecording({ linux: '6.12.117', cells })).toBe(RECORDING)
  })
})
