/**
 * The kernel's answers as a text that can be kept: a line for each case, `part TAB case TAB answer`. It is what
 * `npm test` replays where there is no kernel.
 *
 * @module
 */

const HEAD = `# What the mtty of a real Linux kernel answered, recorded by "npm run oracle -- --record".
# The cases are those of test/oracle/parts; a line is: part, case, answer.
`

/** @param {{ linux: string, cells: object[] }} run */
export function formatRecording({ linux, cells }) {
  const lines = new Map()
  for (const { part, name, kernel, recorded } of cells) {
    if (recorded) lines.set(`${part}\t${name}`, `${part}\t${name}\t${kernel}`)
  }
  return `${HEAD}# Linux ${linux}, ${lines.size} answers.\n${[...lines.values()].join('\n')}\n`
}

/** @returns {Map<string, string>} answers by "part TAB case" */
export function parseRecording(text) {
  const answers = new Map()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [part, name, answer] = line.split('\t')
    answers.set(`${part}\t${name}`, answer)
  }
  return answers
}
