import { PassThrough } from 'node:stream'
import pc from 'picocolors'
import { describe, expect, it } from 'vitest'
import { DestinationBar, SourceBar, sourceTexts } from '../../../src/cli/migration-bar.ts'
import { destinationLines, ownedText, sourceLines } from '../../../src/cli/migration-text.ts'
import type { MigrateProgress } from '../../../src/migrate/index.ts'
import { RECEIVED, REPORT } from './migration-report.ts'

const PLAIN = pc.createColors(false)

describe('sourceLines()', () => {
  it('is a table of passes, one of phases, and what the downtime was', () => {
    expect(sourceLines(REPORT, 'bulk with 48 MiB of memory', 'unix:/there', PLAIN)).toEqual([
      'Migrated bulk with 48 MiB of memory to unix:/there: the destination runs it',
      '',
      '  pass     bytes   time        rate  dirtied  left at its end',
      '     1  47.7 MiB  50 ms  1,000 MB/s  80 MB/s            4 MiB',
      '     2     4 MiB  50 ms  1,000 MB/s  80 MB/s          293 KiB',
      '',
      '  phase       time',
      '  setup     1.0 ms  both ends compared, the destination in RESUMING',
      '  pre-copy  100 ms  the device worked on',
      '  stop      1.0 ms  into STOP_COPY; the downtime begins',
      '  drain     5.0 ms  the rest of the stream',
      '  load      2.0 ms  the destination verified and loaded all',
      '  commit    0.3 ms  the destination started; the downtime ends',
      '  clean-up  3.0 ms  the source in STOP, connections closed',
      '',
      '  downtime    8.3 ms of 50 ms allowed, 7.5 ms were expected, most of it drain',
      '  switchover  the expected downtime was within the limit',
      '  sent        52,000,000 bytes over 2 connections in 130 ms, 400 MB/s',
      '  zero pages  1 MiB were not sent',
      '  slowed      by up to 20 %',
      '  id          0123456789abcdef0123456789abcdef',
    ])
  })

  it('leaves out what there was not, and says when a cancellation was too late', () => {
    const { downtimeMs: _, expectedDowntimeMs: __, downtimeBoundBy: ___, ...stopped } = REPORT
    const lines = sourceLines(
      { ...stopped, iterations: [], switchover: 'no-precopy', zeroBytesSaved: 0, canceledTooLate: true },
      'mtty with 1 port',
      'unix:/there',
      PLAIN,
    ).join('\n')
    expect(lines).not.toMatch(/pass {2}|zero pages|downtime {2}/)
    expect(lines).toContain('there was no pre-copy')
    expect(lines).toContain('too late')
  })
})

describe('destinationLines()', () => {
  it('says what came and from whom', () => {
    const lines = destinationLines(RECEIVED, 'mtty with 1 port', 'tcp:127.0.0.1:4711', PLAIN)
    expect(lines[0]).toBe('Received mtty with 1 port from tcp:127.0.0.1:4711: the destination runs it')
    expect(lines).toContain('  wait      1.0 ms  READY until COMMIT')
    expect(lines).toContain('  received  52,000,000 bytes in 125 ms, 500 MB/s')
    expect(lines.filter((line) => line.length > 80)).toEqual([])
  })
})

describe('ownedText()', () => {
  it('names the owner in every case', () => {
    expect(ownedText('source')).toBe('the source owns the device')
    expect(ownedText('destination')).toBe('the destination runs it')
    expect(ownedText('none')).toBe('nobody runs it')
    expect(ownedText('undecided')).toMatch(/^undecided: nobody runs it/)
  })
})

/** A terminal that keeps what was written. */
function fakeTerminal(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  const methods = { isTTY, columns: 120, cursorTo: () => true, clearLine: () => true, moveCursor: () => true }
  const stream = Object.assign(new PassThrough(), methods)
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text }
}

describe('the live line', () => {
  const progress: MigrateProgress = {
    phase: 'precopy',
    elapsedMs: 300,
    bytes: 3 * 1024 ** 2,
    iteration: 2,
    remainingBytes: 1024 ** 2,
    bytesPerSecond: 5e8,
    dirtyBytesPerSecond: 8e7,
    expectedDowntimeMs: 12.3,
    etaMs: 2500,
    throttlePercent: 30,
  }

  it('says pass, bytes, rates, what is left, the downtime to expect and when', () => {
    expect(sourceTexts(progress)).toEqual({
      phase: 'pre-copy  ',
      texts: 'pass 2  3 MiB  500 MB/s  1 MiB left  dirty 80 MB/s  downtime 12 ms  slowed 30%  ETA 2.50 s',
    })
    expect(sourceTexts({ phase: 'setup', elapsedMs: 0, bytes: 0, iteration: 1, throttlePercent: 0 })).toEqual(
      {
        phase: 'setting up',
        texts: 'pass 1  0 B',
      },
    )
  })

  it('is drawn at both ends on a terminal, and nowhere else', () => {
    for (const isTTY of [true, false]) {
      const { stream, text } = fakeTerminal(isTTY)
      const [source, destination] = [new SourceBar(stream), new DestinationBar(stream)]
      source.update(progress)
      source.stop()
      destination.update({ id: REPORT.id, phase: 'transfer', bytes: 1024 ** 2, elapsedMs: 10 }, 2 * 1024 ** 2)
      destination.stop()
      if (!isTTY) expect(text()).toBe('')
      else
        for (const word of ['pre-copy', '75%', 'dirty 80 MB/s', 'receiving', '1 MiB', '105 MB/s'])
          expect(text()).toContain(word)
    }
  })
})
