/** Compiles src/ into an empty dist/, with the streaming-compile copies of the kernels and an executable CLI. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
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
if (existsSync(cli)) chmodSync(cli, 0o755)
