/** The README's examples, run as a reader would: pasted into a file of this package and started. */

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'

const root = new URL('..', import.meta.url).pathname
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/```(?:js|ts)\n(.*?)```/gs)].map((match) => match[1] as string)
/** Those of one runtime say in their first line how it is started. */
const RUNTIME = /^\/\/ (node|deno|bun) .*\w+\.mjs\n/
const examples = blocks.filter((block) => !RUNTIME.test(block))
const runtimeExamples = blocks.filter((block) => RUNTIME.test(block))
// Inside the package, so that `import 'stopcopy'` means what `npm run build` made.
const folder = mkdtempSync(join(root, 'build/readme-'))
afterAll(() => rmSync(folder, { recursive: true }))

function run(index: number): Promise<string> {
  return runCode(examples[index] as string, `example-${index}.mjs`)
}

async function runCode(code: string, name: string): Promise<string> {
  const file = join(folder, name)
  writeFileSync(file, code)
  const { stdout } = await promisify(execFile)(process.execPath, [file], { cwd: folder })
  return stdout
}

describe('README examples', () => {
  it('moves a device in ten lines', async () => {
    expect(await run(0)).toBe('destination runs: true\n')
  })

  it('moves a device that works meanwhile', async () => {
    expect(await run(1)).toBe('')
  })

  it('migrates a working device over TCP', async () => {
    expect(await run(2)).toBe('the destination runs\n')
  })

  it('saves to a file and restores with a worker', async () => {
    expect(await run(3)).toMatch(/^671\d{5} bytes moved\n$/)
    expect(statSync(join(folder, 'bulk.stopcopy')).size).toBeGreaterThan(2 ** 26)
  })

  it('defines a UART in under 60 lines whose FIFO survives the move', async () => {
    expect((examples[4] as string).split('\n').length).toBeLessThan(60)
    expect(await run(4)).toBe('h\ne\nl\nl\no\n')
  })

  it('makes a device in ten lines that the command saves and restores', async () => {
    const code = examples[5] as string
    expect(code.trimEnd().split('\n')).toHaveLength(10)
    writeFileSync(join(folder, 'clock.mjs'), code)
    const cli = (...words: string[]): Promise<{ stdout: string }> =>
      promisify(execFile)(process.execPath, [join(root, 'dist/cli/main.js'), ...words], { cwd: folder })
    await cli('save', './clock.mjs', '-o', 'clock.stopcopy')
    const { stdout } = await cli('restore', './clock.mjs', 'clock.stopcopy')
    expect(stdout).toMatch(
      /^Restored clock of \.\/clock\.mjs from clock\.stopcopy; it is in STOP at tick \d+:\n/,
    )
    await cli('save', 'mtty', '-o', 'mtty.stopcopy')
    await expect(cli('restore', './clock.mjs', 'mtty.stopcopy')).rejects.toThrow(/says: no mtty lives here/)
  })

  it('runs the conformance suite on a device', async () => {
    const lines = (await run(6)).trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(50)
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([])
  })

  it('has no eighth example that nothing runs', () => {
    expect(examples).toHaveLength(7)
  })

  it('has one for each runtime, which test/runtime runs there from the installed package', () => {
    expect(runtimeExamples.map((block) => RUNTIME.exec(block)?.[1])).toEqual(['node', 'deno', 'bun'])
    expect(readme.match(/```html\n<!doctype html>/g)).toHaveLength(1)
  })

  it('saves to a file in Node', async () => {
    const code = runtimeExamples[0] as string
    expect(await runCode(code, 'save.mjs')).toBe('16.782271 MB through a file, it runs: true\n')
  })

  it('serves a device over vfio-user and saves it from there', async () => {
    const room = readFileSync(join(root, 'src/vfio-user/README.md'), 'utf8')
    const [, ...codes] = room.split('```js\n').map((block) => block.split('```')[0] as string)
    expect(codes).toHaveLength(1)
    expect(await runCode(codes[0] as string, 'serve.mjs')).toBe(
      '16782271 bytes of bulk\nthe client left after some commands\n',
    )
  })

  it('compiles as strict TypeScript in a project without the DOM', async () => {
    const files = [0, 1, 2].map((index) => join(folder, `example-${index}.ts`))
    for (const [index, file] of files.entries()) writeFileSync(file, examples[index] as string)
    const options =
      '--noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2022 --lib es2023'
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [tsc, ...options.split(' '), '--types', 'node', '--ignoreConfig', ...files],
      { cwd: root },
    ).catch((error: { stdout: string }) => error)
    expect(stdout).toBe('')
  })
})
