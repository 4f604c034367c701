/**
 * Compiles src/ into an empty dist/, with the streaming-compile copies of the kernels, the AssemblyScript
 * loader and an executable CLI.
 */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = `${root}dist`
const cli = `${dist}/cli/main.js`

rmSync(dist, { recursive: true, force: true })
mkdirSync(dist)
const { status } = spawnSync(
  process.execPath,
  [`${root}node_modules/typescript/bin/tsc`, '-p', 'tsconfig.build.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
)
if (status !== 0) process.exit(status ?? 1)
copyFileSync(`${root}build/simd.wasm`, `${dist}/engine.wasm`)
copyFileSync(`${root}build/simd-shared.wasm`, `${dist}/engine-shared.wasm`)
inlineLoader()
if (existsSync(cli)) chmodSync(cli, 0o755)

/**
 * A browser resolves no package names by itself, so the one that the core imports goes into the package: then
 * `dist/index.js` loads from any static server, without an import map.
 */
function inlineLoader() {
  const name = '@assemblyscript/loader'
  const { version, license } = JSON.parse(readFileSync(`${root}node_modules/${name}/package.json`, 'utf8'))
  const notice = `// ${name} ${version}, copyright the AssemblyScript authors, ${license}: see the package's LICENSE.\n`
  writeFileSync(
    `${dist}/engine/loader.js`,
    notice + readFileSync(`${root}node_modules/${name}/index.js`, 'utf8'),
  )
  const importer = `${dist}/engine/load.js`
  const code = readFileSync(importer, 'utf8')
  const inlined = code.replace(`from '${name}'`, "from './loader.js'")
  if (inlined === code) throw new Error(`${importer} does not import ${name} any more: inline it where it is`)
  writeFileSync(importer, inlined)
}
