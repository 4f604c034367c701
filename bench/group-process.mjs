/**
 * Runs one group in this process and sends its results to the parent: groups get a fresh heap and fresh
 * engines each, and `--only` measures what the whole run does.
 *
 * @module
 */
import { groups } from './groups/index.mjs'
import { runRounds } from './harness/rounds.mjs'
import { checkTargets, Figures } from './harness/targets.mjs'

const { name, quick, only, rounds } = JSON.parse(process.argv[2])
const send = (message) => new Promise((resolve) => process.send(message, resolve))
const step = (label, share) => process.send({ step: { label, share } })

const group = await groups[name].load()
step('preparing', 0)
const opened = await group.open({ quick, only, step })
const found = opened.cases.map((each) => each.name)
if (found.join() !== group.names.join())
  throw new Error(`group ${name} lists ${group.names}, but has ${found}`)
const cases = await runRounds(opened.cases, {
  rounds: rounds ?? group.rounds[quick ? 'quick' : 'full'],
  // A sample must be long beside a timer interrupt, a round short beside a change of the weather.
  samples: 3,
  sampleSeconds: quick ? 0.002 : 0.01,
  only,
  step,
})
await opened.close?.()
const { title, notes, targets } = opened
const figures = new Figures(cases)
await send({ result: { name, title, notes, cases, targets: checkTargets(targets, figures) } })
process.disconnect()
