/** What is published, and that it is the same for npm and for JSR. */

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

interface Manifest {
  readonly version: string
  readonly license: string
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>
}

function read(path: string): string {
  return readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
}

const npm = JSON.parse(read('package.json')) as Manifest
const jsr = JSON.parse(read('deno.json')) as Omit<Manifest, 'exports'> & {
  readonly exports: Readonly<Record<string, string>>
  readonly imports: Readonly<Record<string, string>>
}
/** The modules among the exports: name and file. */
const modules = Object.entries(npm.exports).flatMap(([name, target]) =>
  typeof target === 'string' ? [] : [[name, target.default] as const],
)

/** What a module imports, by static and dynamic imports. */
function importsOf(path: string): string[] {
  const code = read(path).replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g)].map(
    (match) => match[2] as string,
  )
}

/** The modules that the given ones load, and the names among their imports that are no paths. */
function closureOf(entries: readonly string[]): { paths: Set<string>; names: string[] } {
  const paths = new Set(entries)
  const names: string[] = []
  for (const path of paths)
    for (const specifier of importsOf(path)) {
      if (specifier.startsWith('.')) paths.add(posix.join(posix.dirname(path), specifier))
      else names.push(`${path} imports ${specifier}`)
    }
  return { paths, names }
}

describe('deno.json', () => {
  it('names the version and the licence of package.json', () => {
    expect([jsr.version, jsr.license]).toEqual([npm.version, npm.license])
  })

  it('exports the sources of the modules that package.json exports', () => {
    const sources = modules.map(([name, file]) => [
      name,
      file.replace('./dist/', './src/').replace(/js$/, 'ts'),
    ])
    expect(Object.entries(jsr.exports)).toEqual(sources)
  })

  it('takes the versions of package.json from npm', () => {
    for (const [name, specifier] of Object.entries(jsr.imports))
      expect(specifier).toBe(`npm:${name}@${npm.dependencies[name] ?? npm.devDependencies[name]}`)
  })
})

describe('dist', () => {
  const forBrowsers = modules.filter(([name]) => name !== './node').map(([, file]) => file)

  it('loads in a browser without an import map: nothing is imported by a name', () => {
    const { paths, names } = closureOf(forBrowsers)
    expect(names).toEqual([])
    expect(paths.size).toBeGreaterThan(100)
  })

  it('has the loader in it, which says whose it is', () => {
    expect(closureOf(forBrowsers).paths).toContain('dist/engine/loader.js')
    expect(read('dist/engine/loader.js')).toMatch(/^\/\/ @assemblyscript\/loader .* Apache-2\.0/)
  })

  it('needs only Node and what package.json names for stopcopy/node', () => {
    const { names } = closureOf(['./dist/node/index.js'])
    const packages = names.map((line) => line.split(' ').at(-1)).filter((name) => !name?.startsWith('node:'))
    expect(new Set(packages)).toEqual(new Set(['ws']))
    expect(Object.keys(npm.dependencies)).toContain('ws')
  })

  it('says what to install where koffi, which passes file descriptors, is not', () => {
    expect(npm.peerDependencies).toEqual({ koffi: `^${npm.devDependencies['koffi']}` })
    expect(npm.peerDependenciesMeta).toEqual({ koffi: { optional: true } })
    const folder = mkdtempSync(join(tmpdir(), 'stopcopy-package-'))
    try {
      cpSync(new URL('../dist', import.meta.url), join(folder, 'dist'), { recursive: true })
      cpSync(new URL('../package.json', import.meta.url), join(folder, 'package.json'))
      mkdirSync(join(folder, 'node_modules'))
      symlinkSync(
        fileURLToPath(new URL('../node_modules/ws', import.meta.url)),
        join(folder, 'node_modules/ws'),
      )
      const script = `import { connectFds, fdPassingObstacle } from './dist/node/index.js'
        console.log(fdPassingObstacle().message)
        await connectFds('unix:/nowhere').catch(({ code }) => console.log(code))`
      writeFileSync(join(folder, 'main.mjs'), script)
      const [message, code] = execFileSync(process.execPath, [join(folder, 'main.mjs')], { encoding: 'utf8' })
        .trim()
        .split('\n')
      const reason =
        process.platform === 'linux'
          ? 'the package koffi is not installed, npm install koffi'
          : `this is ${process.platform}, use Linux`
      expect(message).toBe(`Cannot pass file descriptors: ${reason}`)
      expect(code).toBe('EOPNOTSUPP')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
