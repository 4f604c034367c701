/** The package as a user gets it. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** An empty folder into which the package is packed and installed. The build has just run. */
export function installedFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'stopcopy-runtimes-'))
  const options = { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' }
  const packing = ['pack', root, '--ignore-scripts', '--silent', '--pack-destination', folder]
  const tarball = execFileSync('npm', packing, options).trim()
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n')
  execFileSync(
    'npm',
    ['install', '--prefer-offline', '--no-audit', '--no-fund', '--silent', `./${tarball}`],
    options,
  )
  return folder
}

/** The import map by which a page finds the package's modules; `base` is the way from the page to that folder. */
export function importMap(folder, base = '.') {
  const { exports } = JSON.parse(readFileSync(join(folder, 'node_modules/stopcopy/package.json'), 'utf8'))
  const imports = Object.entries(exports)
    .filter(([, target]) => typeof target === 'object')
    .map(([name, target]) => [
      join('stopcopy', name),
      `${base}/${join('node_modules/stopcopy', target.default)}`,
    ])
  return `<script type="importmap">${JSON.stringify({ imports: Object.fromEntries(imports) })}</script>`
}
