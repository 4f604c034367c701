/** The README's example for each runtime: a block whose first line says how it is started. */

import { readFileSync } from 'node:fs'

const README = new URL('../../README.md', import.meta.url)
/** Every example ends by saying this. */
const SAID = /^16\.\d+ MB through a file, it runs: true$/

/** The block that starts with the line `// NAME WORDS... FILE`, and those words. */
export function exampleOf(name) {
  const pattern = new RegExp(`\`\`\`js\\n(// ${name} ([^\\n]+)\\n.*?)\`\`\``, 's')
  const [, code, line] = pattern.exec(readFileSync(README, 'utf8')) ?? []
  if (code === undefined) throw new Error(`README.md has no js block that starts with \`// ${name} ...\``)
  return { code, words: line.split(' ') }
}

/** The page for browsers. */
export function examplePage() {
  const [, code] = /```html\n(<!doctype html>.*?)```/s.exec(readFileSync(README, 'utf8')) ?? []
  if (code === undefined) throw new Error('README.md has no html block')
  return code
}

/** The result of an example that said `text`, and complained by `complaint`. */
export function checkExample(text, complaint = '') {
  const failures = SAID.test(text?.trim()) ? [] : [`it said ${JSON.stringify(text)}${complaint}`]
  return { failures, example: true }
}
