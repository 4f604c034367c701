/**
 * Compiles `assembly/` into the four builds under build/ and writes them as base64 into modules of
 * src/engine/generated, so that the package needs no file, permission or bundler step to load them: the
 * plain builds in one that is always there, each shared build in its own that is imported when asked for.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { main as asc } from 'assemblyscript/asc'

const root = fileURLToPath(new URL('..', import.meta.url))
const generated = `${root}src/engine/generated`

async function compile(target) {
  const { stdout, stderr } = process
  const { error } = await asc(['--config', 'asconfig.json', '--target', target, '--baseDir', root], {
    stdout,
    stderr,
  })
  if (error) throw error
  return (await readFile(`${root}build/${target}.wasm`)).toString('base64')
}

/** Writes a module of constants: name, doc, base64. */
async function write(file, constants) {
  const source = `/**
 * Compiled kernels in base64. Written by scripts/build-wasm.mjs from assembly/.
 *
 * @module
 */
${constants.map(([name, doc, base64]) => `\n/** ${doc} */\nexport const ${name}: string =\n  '${base64}'\n`).join('')}`
  // A new time stamp on the same text would make every watcher and incremental build run again.
  if ((await readFile(`${generated}/${file}`, 'utf8').catch(() => '')) === source) return
  await writeFile(`${generated}/${file}`, source)
}

await mkdir(generated, { recursive: true })
await write('wasm.ts', [
  ['SIMD_WASM', 'The build with 128-bit vectors.', await compile('simd')],
  ['BASELINE_WASM', 'The build for hosts without them.', await compile('baseline')],
])
await write('wasm-simd-shared.ts', [
  ['SIMD_SHARED_WASM', 'The build with 128-bit vectors over a shared memory.', await compile('simd-shared')],
])
await write('wasm-baseline-shared.ts', [
  [
    'BASELINE_SHARED_WASM',
    'The build without 128-bit vectors over a shared memory.',
    await compile('baseline-shared'),
  ],
])
