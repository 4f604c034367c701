/**
 * The rooms of the design: who may import whom, and which runtime a file may lean on.
 *
 * @module
 */

import { readFileSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = new URL('../', import.meta.url)

/** Rooms each room may import besides itself. `index` is src/index.ts, `errors` src/errors.ts. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  uapi: ['errors'],
  fsm: ['uapi', 'errors'],
  engine: ['errors'],
  transport: ['errors'],
  format: ['engine', 'errors'],
  session: ['uapi', 'errors'],
  device: ['fsm', 'session', 'uapi', 'errors'],
  driver: ['device', 'session', 'format', 'engine', 'uapi', 'errors'],
  devices: ['driver', 'device', 'session', 'engine', 'uapi', 'errors'],
  migrate: ['device', 'session', 'transport', 'format', 'uapi', 'errors'],
  'vfio-user': ['device', 'session', 'transport', 'format', 'uapi', 'errors'],
  testing: ['device', 'session', 'transport', 'uapi', 'errors'],
  node: ['transport', 'session', 'migrate', 'vfio-user', 'engine', 'errors'],
  web: ['transport', 'session', 'migrate', 'vfio-user', 'engine', 'errors'],
}
const PLATFORM_ROOMS = ['node', 'web', 'cli']
const ALL_ROOMS = [...Object.keys(MAY_IMPORT), 'cli', 'index']

const LOADER = '@assemblyscript/loader'
/** Packages that a room other than cli/ may import. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = { engine: [LOADER], node: ['ws'] }
const MAX_LINES = 400

/** The room of a path below src/: its folder, or its own name at the top. */
function roomOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : posix.basename(path, '.ts')
}

function mayImport(room: string, other: string): boolean {
  if (room === other || room === 'cli') return true
  if (room === 'index') return !PLATFORM_ROOMS.includes(other)
  return MAY_IMPORT[room]?.includes(other) ?? false
}

/** Code without its comments, which hold examples and prose. */
function codeOf(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '$1')
}

/** Specifiers of static, re-exporting, type-only and dynamic imports. */
function importsOf(code: string): string[] {
  return [...code.matchAll(/\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g)].map((match) => match[2]!)
}

function importFaults(path: string, code: string): string[] {
  const room = roomOf(path)
  return importsOf(code).flatMap((specifier) => {
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(path), specifier)
      return mayImport(room, roomOf(target)) ? [] : [`${path} imports ${target}`]
    }
    if (specifier.startsWith('node:')) {
      return room === 'node' || room === 'cli' ? [] : [`${path} imports ${specifier}`]
    }
    return room === 'cli' || PACKAGES[room]?.includes(specifier)
      ? []
      : [`${path} imports package ${specifier}`]
  })
}

/**
 * Globals of a runtime that the file does not declare itself: `window` is a method of sessions, too, and a
 * good name for what it returns.
 */
function globalFaults(path: string, code: string): string[] {
  const room = roomOf(path)
  const dom = room === 'web' ? [] : ['document', 'window', 'navigator']
  const node = room === 'node' || room === 'cli' ? [] : ['Buffer', 'process']
  return [...dom, ...node].flatMap((name) => {
    const declared = new RegExp(String.raw`\b(?:const|let)\s+${name}\b|[({,]\s*${name}\s*[:,)]`).test(code)
    const member = new RegExp(String.raw`(?<![\w.#$])${name}\s*(?:\?\.|\.|\[)`).test(code)
    const asked = new RegExp(String.raw`(?:typeof |globalThis\.|: )${name}\b(?!\s*[(:])`).test(code)
    return (member || asked) && !declared ? [`${path} uses ${name}`] : []
  })
}

function files(folder: string): { path: string; text: string }[] {
  const base = new URL(`${folder}/`, ROOT)
  return readdirSync(base, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => ({ path: path.replaceAll('\\', '/'), text: readFileSync(new URL(path, base), 'utf8') }))
}

const SOURCES = files('src').map((file) => ({ ...file, code: codeOf(file.text) }))

describe('rooms', () => {
  it('every file of src lies in a room of the design', () => {
    expect(SOURCES.length).toBeGreaterThan(50)
    expect(SOURCES.map(({ path }) => path).filter((path) => !ALL_ROOMS.includes(roomOf(path)))).toEqual([])
  })

  it('import only what the table allows, types included, and node: only in node/ and cli/', () => {
    expect(SOURCES.flatMap(({ path, code }) => importFaults(path, code))).toEqual([])
  })

  it('use no globals of a runtime outside its room', () => {
    expect(SOURCES.flatMap(({ path, code }) => globalFaults(path, code))).toEqual([])
  })

  it('touch the AssemblyScript loader in exactly one file, in engine/', () => {
    const users = SOURCES.filter(({ code }) => importsOf(code).includes(LOADER)).map(({ path }) => path)
    expect(users.map(roomOf)).toEqual(['engine'])
  })

  it('load koffi, which need not be there, in exactly one file, in node/, by a `require` that may fail', () => {
    expect(SOURCES.filter(({ code }) => importsOf(code).includes('koffi'))).toEqual([])
    const users = SOURCES.filter(({ code }) => /\(\s*['"]koffi['"]\s*\)/.test(code)).map(({ path }) => path)
    expect(users).toEqual(['node/libc.ts'])
  })

  it('have no import cycle between them', () => {
    const edges = Object.entries(MAY_IMPORT)
    const settled = new Set<string>()
    for (let grown = true; grown;) {
      const ready = edges.filter(
        ([room, targets]) => !settled.has(room) && targets.every((t) => settled.has(t)),
      )
      for (const [room] of ready) settled.add(room)
      grown = ready.length > 0
    }
    expect(edges.map(([room]) => room).filter((room) => !settled.has(room))).toEqual([])
  })
})

/** What the demo may import besides its own files: names that users of the package have, and what it shows. */
const DEMO_PACKAGES =
  /^(?:stopcopy(?:\/(?:devices|node|testing|uapi|web))?|uplot|v86(?:\/build\/v86\.wasm\?url)?)$/

function demoFaults(path: string, code: string): string[] {
  return importsOf(code)
    .filter((specifier) => {
      if (specifier.startsWith('.'))
        return !posix.join('demo', posix.dirname(path), specifier).startsWith('demo/')
      if (specifier.startsWith('node:') || specifier === 'vite')
        return !/^node\/|vite\.config\.ts$/.test(path)
      return !DEMO_PACKAGES.test(specifier)
    })
    .map((specifier) => `${path} imports ${specifier}`)
}

describe('the demo', () => {
  const sources = files('demo')
    .filter(({ path }) => !path.startsWith('dist/') && !path.endsWith('.d.ts'))
    .map((file) => ({ ...file, code: codeOf(file.text) }))

  it('imports what users of the package import, and node: in its Node process alone', () => {
    expect(sources.length).toBeGreaterThan(20)
    expect(sources.flatMap(({ path, code }) => demoFaults(path, code))).toEqual([])
  })

  it('has short files that begin with a module doc', () => {
    const faulty = sources.filter(
      ({ text }) =>
        text.split('\n').length > MAX_LINES || !/^\/\*\*(?:(?!\*\/)[\s\S])*@module\s*\*\//.test(text),
    )
    expect(faulty.map(({ path }) => path)).toEqual([])
  })

  it.each([
    ['page/a.ts', "import { migrate } from '../../src/index.ts'"],
    ['page/a.ts', "import { readFile } from 'node:fs/promises'"],
    ['worker/a.ts', "import { Receiver } from 'stopcopy/migrate'"],
  ])('is seen where %s imports what it may not', (path, code) => {
    expect(demoFaults(path, code)).toHaveLength(1)
  })
})

describe('files', () => {
  it(`of src have at most ${MAX_LINES} lines, what the build generates excepted`, () => {
    const long = SOURCES.filter(({ path }) => !path.startsWith('engine/generated/')).filter(
      ({ text }) => text.trimEnd().split('\n').length > MAX_LINES,
    )
    expect(long.map(({ path }) => path)).toEqual([])
  })

  it('of src and test have nothing skipped, singled out or left to do', () => {
    const left = [...files('src'), ...files('test')].flatMap(({ path, text }) =>
      [/\b(?:it|test|describe)(?:\.\w+)*\.(?:skip|only|todo)(?:If)?\b/, /\bTO[D]O\b|\bFIX[M]E\b/]
        .map((pattern) => pattern.exec(text)?.[0])
        .filter((found) => found !== undefined)
        .map((found) => `${path}: ${found}`),
    )
    expect(left).toEqual([])
  })

  it('of src begin with a module doc', () => {
    const bare = SOURCES.filter(({ path }) => !path.startsWith('engine/generated/')).filter(
      ({ text }) => !/^(?:#!.*\n)?\/\*\*(?:(?!\*\/)[\s\S])*@module\s*\*\//.test(text),
    )
    expect(bare.map(({ path }) => path)).toEqual([])
  })
})

describe('the checks above', () => {
  it.each([
    ['fsm/arcs.ts', "import { arcs } from '../device/driver.ts'"],
    ['fsm/arcs.ts', "import type { Engine } from '../engine/engine.ts'"],
    ['uapi/structs/a.ts', "export * from '../../fsm/arcs.ts'"],
    ['transport/pair.ts', "const { connect } = await import('../node/socket.ts')"],
    ['session/a.ts', "type Arc = import('../fsm/arcs.ts').Arc"],
    ['index.ts', "export * from './node/index.ts'"],
    ['format/a.ts', "import { readFileSync } from 'node:fs'"],
    ['format/a.ts', "import xxhash from 'xxhash-wasm'"],
    ['migrate/a.ts', "import { WebSocket } from 'ws'"],
    ['errors.ts', "import { DeviceState } from './uapi/state.ts'"],
  ])('see a forbidden import of %s', (path, code) => {
    expect(importFaults(path, code)).toHaveLength(1)
  })

  it('let allowed imports pass', () => {
    expect(importFaults('uapi/structs/a.ts', "import { userBytes } from '../user-memory.ts'")).toEqual([])
    expect(importFaults('devices/mtty/a.ts', "import type { Driver } from '../../device/driver.ts'")).toEqual(
      [],
    )
    expect(
      importFaults('cli/main.ts', "import { parseArgs } from 'node:util'\nimport pc from 'picocolors'"),
    ).toEqual([])
    expect(importFaults('index.ts', "export { arcs } from './fsm/index.ts'")).toEqual([])
    expect(
      importFaults('format/a.ts', codeOf("/** import { x } from 'node:fs' */\n// from 'node:fs'")),
    ).toEqual([])
  })

  it.each([
    ['uapi/a.ts', 'const text = window.location.href'],
    ['session/a.ts', "if (typeof document !== 'undefined') start()"],
    ['format/a.ts', 'const bytes = Buffer.from(text)'],
    ['format/a.ts', 'function take(bytes: Buffer): void {}'],
    ['engine/a.ts', 'process.nextTick(run)'],
    ['node/a.ts', 'document.title = text'],
  ])('see a global in %s', (path, code) => {
    expect(globalFaults(path, code)).toHaveLength(1)
  })

  it('let a window of a session, an ArrayBuffer and the globals of a room pass', () => {
    expect(
      globalFaults(
        'format/a.ts',
        '  window(maxBytes: number): Uint8Array {\n    return this.reader.window(1)\n  }',
      ),
    ).toEqual([])
    expect(globalFaults('session/a.ts', 'const window = end.window(1)\nwindow.set(bytes)')).toEqual([])
    expect(globalFaults('engine/a.ts', 'const buffer = new ArrayBuffer(8)\nthis.process.run()')).toEqual([])
    expect(globalFaults('web/a.ts', 'document.title = text')).toEqual([])
    expect(globalFaults('cli/a.ts', 'process.exitCode = 1')).toEqual([])
  })
})
