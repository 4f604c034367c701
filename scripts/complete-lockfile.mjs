/**
 * Adds to package-lock.json the optional platform packages that npm left out of it.
 *
 * A registry mirror that does not carry every platform's binding makes `npm install` drop the others from
 * the lock file without a word; `npm ci` then refuses the file ("Missing: @oxlint/binding-... from lock
 * file") on every machine but the one that wrote it. Run this after changing dependencies there.
 */
import { readFileSync, writeFileSync } from 'node:fs'

const SYSTEMS = [
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
]
const CPUS = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
let added = 0
for (const { optionalDependencies = {} } of Object.values(lock.packages))
  for (const [name, range] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`
    if (key in lock.packages) continue
    const words = name.split('/').at(-1).split('-')
    const cpu = words.filter((word) => CPUS.includes(word))
    const os = words.filter((word) => SYSTEMS.includes(word))
    const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : ['glibc']
    lock.packages[key] = {
      version: range.replace(/^[~^=]/, ''),
      ...(cpu.length > 0 ? { cpu } : {}),
      dev: true,
      ...(words.some((word) => /^(gnu|musl)/.test(word)) ? { libc } : {}),
      optional: true,
      ...(os.length > 0 ? { os } : {}),
    }
    added++
  }
const { '': root, ...packages } = lock.packages
const sorted = Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1))
lock.packages = { '': root, ...Object.fromEntries(sorted) }
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} optional packages added`)
