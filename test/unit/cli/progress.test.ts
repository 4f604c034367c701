import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { Progress } from '../../../src/cli/progress.ts'

/** A stream that looks like a terminal and keeps what was written. */
function fakeTerminal(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  const stream = Object.assign(new PassThrough(), {
    isTTY,
    columns: 80,
    cursorTo: () => true,
    clearLine: () => true,
    moveCursor: () => true,
  })
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text }
}

describe('Progress', () => {
  it('shows a bar on a terminal, and takes it away', () => {
    const { stream, text } = fakeTerminal(true)
    const progress = new Progress('saving', { stream, quietMs: 0 })
    progress.update({ bytes: 512 * 1024, totalBytes: 1024 * 1024 })
    expect(text()).toContain('saving')
    expect(text()).toContain('50%')
    expect(text()).toContain('512 KiB of 1 MiB')
    progress.update({ bytes: 2 * 1024 * 1024, totalBytes: 1024 * 1024 })
    progress.stop()
    // The cursor is back, at the start of a cleared line.
    expect(text().endsWith('\u001b[?25h\u001b[?7h\u001b8\u001b[1G\u001b[2K')).toBe(true)
    progress.stop()
  })

  it.each([
    ['before a second has passed', true, {}, 100],
    ['off a terminal', false, { quietMs: 0 }, 100],
    ['without a total', true, { quietMs: 0 }, undefined],
  ])('shows nothing %s', (_when, isTTY, options, totalBytes) => {
    const { stream, text } = fakeTerminal(isTTY)
    const progress = new Progress('saving', { stream, ...options })
    progress.update({ bytes: 50, ...(totalBytes === undefined ? {} : { totalBytes }) })
    progress.stop()
    expect(text()).toBe('')
  })
})
