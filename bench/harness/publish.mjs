/**
 * Keeps a run: its JSON under the date and the CPU, the plot, and the tables in README.md.
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { format } from 'prettier'
import { markdown } from './report.mjs'

const README = fileURLToPath(new URL('../README.md', import.meta.url))
const [BEGIN, END] = ['<!-- results: written by npm run bench -- --publish -->', '<!-- end of results -->']

/**
 * @param {object} run
 * @param {string | undefined} plot SVG, where the run has it
 * @param {string} results folder
 * @returns {Promise<string[]>} the files it wrote
 */
export async function publish(run, plot, results) {
  const cpu = run.environment.cpu
    .replaceAll(/\((R|TM)\)|\bCPU\b|@.*/g, '')
    .trim()
    .replaceAll(/[^a-zA-Z0-9]+/g, '-')
    .toLowerCase()
  const json = `${results}/${run.date.slice(0, 10)}-${cpu}.json`
  writeFileSync(json, `${JSON.stringify(run)}\n`)
  const svg = `${results}/throughput.svg`
  if (plot !== undefined) writeFileSync(svg, plot)
  const text = readFileSync(README, 'utf8')
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (from < 0 || to < from)
    throw new Error(`Cannot publish: ${README} has no "${BEGIN}" before "${END}", add them`)
  const whole = `${text.slice(0, from + BEGIN.length)}\n\n${markdown(run, 3)}\n\n${text.slice(to)}`
  writeFileSync(README, await format(whole, { parser: 'markdown', proseWrap: 'preserve' }))
  return plot === undefined ? [json, README] : [json, svg, README]
}
