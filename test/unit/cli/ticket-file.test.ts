import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Interrupts } from '../../../src/cli/interrupts.ts'
import { TicketFile } from '../../../src/cli/ticket-file.ts'
import type { HandoverTicket } from '../../../src/migrate/index.ts'

const TICKET: HandoverTicket = {
  version: 1,
  id: 'ab'.repeat(16),
  role: 'destination',
  phase: 'ready',
  devices: ['bulk'],
}

function temporaryFile(): { directory: string; path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'stopcopy-ticket-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return { directory, path: join(directory, 'ticket') }
}

describe('TicketFile', () => {
  it('keeps a ticket for nobody else, replaces it whole, and removes it once it is settled', async () => {
    const { directory, path } = temporaryFile()
    const file = new TicketFile(path)
    file.checkUnused()
    await file.keep(TICKET)
    expect(await file.read()).toEqual(TICKET)
    expect(statSync(path).mode & 0o077).toBe(0)
    await file.keep({ ...TICKET, phase: 'committed' })
    expect(await file.read()).toMatchObject({ phase: 'committed' })
    expect(readdirSync(directory)).toEqual(['ticket'])
    expect(() => file.checkUnused()).toThrow(/holds one already/)
    await file.keep(undefined)
    await file.keep(undefined)
    expect(readdirSync(directory)).toEqual([])
  })

  it('says what is wrong with a file that is no ticket, or not there', async () => {
    const { path } = temporaryFile()
    await expect(new TicketFile(path).read()).rejects.toMatchObject({ code: 'ENOENT' })
    writeFileSync(path, '{')
    await expect(new TicketFile(path).read()).rejects.toMatchObject({ code: 'EINVAL' })
  })
})

describe('Interrupts.hold()', () => {
  it('lets a second signal not end the process', () => {
    const interrupts = new Interrupts()
    onTestFinished(() => interrupts.dispose())
    const release = interrupts.hold()
    process.emit('SIGINT', 'SIGINT')
    process.emit('SIGINT', 'SIGINT')
    expect(interrupts.signal.aborted).toBe(true)
    expect(interrupts.exitCode).toBe(130)
    release()
    release()
  })
})
