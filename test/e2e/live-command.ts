/** `stopcopy receive` and `send` as child processes. @module */

import { expect, onTestFinished } from 'vitest'
import { type Finished, type Running, start } from './command.ts'

/** A receiver that listens. */
export interface Receiving extends Running {
  readonly url: string
  /** Everything it has printed so far. */
  readonly text: () => { stdout: string; stderr: string }
  /** Settles once it has printed that. */
  readonly says: (pattern: RegExp) => Promise<void>
}

/** Starts `stopcopy receive` and waits until it listens. It is ended with the test. */
export async function startReceive(listen: string, ...words: string[]): Promise<Receiving> {
  const running = start(['receive', '--listen', listen, ...words])
  onTestFinished(() => void running.child.kill('SIGKILL'))
  const watched = watchText(running)
  await watched.says(/Listening on \S+\n|"type":"listening".*\n/)
  const { stdout } = watched.text()
  const [, url = ''] = /(?:Listening on |"url":")([^\s"]+)/.exec(stdout) ?? []
  return { ...running, ...watched, url }
}

/** A server that listens. */
export interface Serving extends Running {
  readonly text: Receiving['text']
  readonly says: Receiving['says']
  /** Ends it as a person does; resolves to its end. */
  readonly interrupt: () => Promise<Finished>
}

/** Starts `stopcopy serve` on these sockets and waits until it listens on all. It is ended with the test. */
export async function startServe(
  device: string,
  sockets: readonly string[],
  ...words: string[]
): Promise<Serving> {
  const running = start(['serve', device, ...sockets.flatMap((path) => ['--socket', path]), ...words])
  onTestFinished(() => void running.child.kill('SIGKILL'))
  const watched = watchText(running)
  const last = sockets.at(-1)?.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
  await watched.says(new RegExp(`on unix:${last}\n|"url":"unix:${last}".*\n`))
  const interrupt = (): Promise<Finished> => {
    running.child.kill('SIGINT')
    return running.finished
  }
  return { ...running, ...watched, interrupt }
}

/** Starts `stopcopy send`; it is ended with the test. */
export function startSend(
  url: string,
  device: string,
  ...words: string[]
): Running & ReturnType<typeof watchText> {
  const running = start(['send', device, '--to', url, ...words])
  onTestFinished(() => void running.child.kill('SIGKILL'))
  return { ...running, ...watchText(running) }
}

/** Runs `stopcopy send` to its end. */
export function send(url: string, device: string, ...words: string[]): Promise<Finished> {
  return startSend(url, device, ...words).finished
}

/** The lines of `--json`, each an object with a type. */
export function jsonLines(text: string): ({ type: string } & Record<string, unknown>)[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const value = JSON.parse(line) as { type: string } & Record<string, unknown>
      expect(value.type).toEqual(expect.any(String))
      return value
    })
}

/** The last line of a type. */
export function lineOf(text: string, type: string): Record<string, unknown> {
  const found = jsonLines(text)
    .filter((line) => line.type === type)
    .at(-1)
  if (found === undefined) throw new Error(`no line of type ${type} in ${text}`)
  return found
}

function watchText({ child, finished }: Running): Pick<Receiving, 'text' | 'says'> {
  const text = { stdout: '', stderr: '' }
  const looks = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const)
    child[name]?.on('data', (chunk: Buffer) => {
      text[name] += chunk.toString()
      for (const look of looks) look()
    })
  const says = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(text.stdout) && !pattern.test(text.stderr)) return
        looks.delete(look)
        resolve()
      }
      looks.add(look)
      look()
      void finished.then(() => reject(new Error(`it ended with ${JSON.stringify(text)}, without ${pattern}`)))
    })
  return { text: () => ({ ...text }), says }
}
