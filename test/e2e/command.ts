/** Runs the built command as a child process. @module */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** `npm test` builds it; STOPCOPY_CLI names another one, such as that of an installed package. */
const CLI = process.env['STOPCOPY_CLI'] ?? fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** Reports VmHWM, the most memory the process ever had, on fd 3. */
const REPORT_PEAK = `data:text/javascript,${encodeURIComponent(`
import { readFileSync, writeSync } from 'node:fs'
process.on('exit', () => writeSync(3, /VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]))
`)}`

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  /** Most bytes of physical memory, where it was asked for. */
  readonly peakBytes: number
}

/** A started command and its end. */
export interface Running {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
}

/** Starts `stopcopy` with these words; stdin stays open until it is ended. */
export function start(words: readonly string[], options: { measure?: boolean } = {}): Running {
  const node = options.measure === true ? ['--import', REPORT_PEAK] : []
  const child = spawn(process.execPath, [...node, CLI, ...words], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '', FORCE_COLOR: '' },
  })
  const text = ['', '', '', '']
  for (const fd of [1, 2, 3]) {
    child.stdio[fd]?.on('data', (chunk: Buffer) => {
      text[fd] += chunk.toString('latin1')
    })
  }
  const finished = new Promise<Finished>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      const [, stdout = '', stderr = '', peak = ''] = text
      resolve({ code, stdout, stderr, peakBytes: Number(peak) * 1024 })
    })
  })
  return { child, finished }
}

/** Runs `stopcopy` with these words and `input` on stdin. */
export function stopcopy(
  words: readonly string[],
  options: { measure?: boolean; input?: Uint8Array } = {},
): Promise<Finished> {
  const { child, finished } = start(words, options)
  // A command that refuses early closes stdin before it took everything.
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.input)
  return finished
}

/** A directory of this test's own, gone at its end. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'stopcopy-e2e-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
