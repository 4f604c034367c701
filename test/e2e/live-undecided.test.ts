/** A connection that breaks around COMMIT: nobody guesses, and the ends settle it when they meet again. @module */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stopcopy, temporaryDirectory } from './command.ts'
import { type Cut, startProxy } from './cutting-proxy.ts'
import { lineOf, type Receiving, send, startReceive, startSend } from './live-command.ts'

interface Scene {
  readonly receiver: Receiving
  /** Where the source connects. */
  readonly url: string
  readonly ticket: string
}

async function scene(cut: Cut, ...words: string[]): Promise<Scene> {
  const directory = temporaryDirectory()
  const [here, there] = [join(directory, 'here'), join(directory, 'there')]
  const receiver = await startReceive(`unix:${there}`, '--keep', ...words)
  await startProxy(here, there, cut)
  return { receiver, url: `unix:${here}`, ticket: join(directory, 'ticket') }
}

const DEVICE = 'bulk:size=256KiB'
const UNDECIDED = /^stopcopy: Cannot tell who runs the device: [^\n]+; undecided: nobody runs it[^\n]*\n$/

describe('a hand-over that is cut', { timeout: 90_000 }, () => {
  it.each([
    ['after COMMIT arrived', true],
    ['before COMMIT arrived', false],
  ])('%s is settled by asking again: the destination runs the device', async (_when, delivered) => {
    const { url, ticket, receiver } = await scene({ delivered, link: 'cut', heals: true })
    const sent = await send(url, DEVICE, '--ticket', ticket)
    expect(sent).toMatchObject({ code: 0, stderr: '' })
    expect(sent.stdout).toContain('the destination runs it')
    expect(existsSync(ticket)).toBe(false)
    await receiver.says(/the destination runs it/)
  })

  it('for good leaves a ticket, on stdout and on disk, which resolve settles', async () => {
    const { url, ticket, receiver } = await scene({ delivered: true, link: 'cut', heals: false })
    const sent = await send(url, DEVICE, '--ticket', ticket, '--resolve-for', '300ms')
    expect(sent).toMatchObject({ code: 1, stderr: expect.stringMatching(UNDECIDED) })
    expect(JSON.parse(readFileSync(ticket, 'utf8'))).toEqual(JSON.parse(sent.stdout))
    await receiver.says(/the destination runs it/)
    const resolved = await stopcopy(['resolve', ticket, '--to', receiver.url, '--json'])
    expect(resolved).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(resolved.stdout)).toEqual({ id: JSON.parse(sent.stdout).id, owner: 'destination' })
    expect(existsSync(ticket)).toBe(false)
  })

  it('and is discarded by a destination that heard nothing belongs to nobody once the source is gone', async () => {
    const cut = { delivered: false, link: 'cut', heals: false } as const
    const { url, ticket, receiver } = await scene(cut, '--ready-timeout', '1s')
    expect((await send(url, DEVICE, '--ticket', ticket, '--resolve-for', '300ms')).code).toBe(1)
    await receiver.says(/did not commit/)
    const resolved = await stopcopy(['resolve', ticket, '--to', receiver.url])
    expect(resolved).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Nobody runs the device/) })
  })

  it('keeps its ticket whatever Ctrl-C comes while the answer to COMMIT is missing', async () => {
    const { url } = await scene({ delivered: true, link: 'silent', heals: false })
    const sender = startSend(url, DEVICE, '--json')
    await sender.says(/"type":"phase","phase":"commit"/)
    sender.child.kill('SIGINT')
    // Nothing shows that the first one was heard, and two at once are one.
    await new Promise((resolve) => setTimeout(resolve, 200))
    sender.child.kill('SIGINT')
    const { code, stdout, stderr } = await sender.finished
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(UNDECIDED) })
    expect(lineOf(stdout, 'error')).toMatchObject({
      report: { owner: 'undecided', canceledTooLate: true, ticket: { role: 'source', phase: 'committed' } },
    })
  })
})
