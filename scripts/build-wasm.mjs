/**
 * Compiles `assembly/` into build/simd.wasm and build/baseline.wasm and inlines both as base64 in
 * src/engine/generated/wasm.ts, so that the package needs no file, permission or bundler step to load them.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { main as asc } from 'assemblyscript/asc'

const root = fileURLToPath(new URL('..', import.meta.url))
const generated = `${root}src/engine/generated/wasm.ts`

async function compile(target) {
  const { stdout, stderr } = process
  const { error } = await asc(['--config', 'asconfig.json', '--target', target, '--baseDir', root], {
    stdout,
    stderr,
  })
  if (error) throw error
  return (await readFile(`${root}build/${target}.wasm`)).toString('base64')
}

const simd = await compile('simd')
const baseline = await compile('baseline')
const source = `/**
 * The compiled kernels in base64. Written by scripts/build-wasm.mjs from assembly/.
 *
 * @module
 */

/** The build with 128-bit vectors. */
export const SIMD_WASM: string =
  '${simd}'

/** The build for hosts without them. */
export const BASELINE_WASM: string =
  '${baseline}'
`
// A new time stamp on the same text would make every watcher and incremental build run again.
if ((await readFile(generated, 'utf8').catch(() => '')) !== source) {
  await mkdir(`${root}src/engine/generated`, { recursive: true })
  await writeFile(generated, source)
}
