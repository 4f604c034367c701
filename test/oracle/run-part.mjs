/**
 * Runs the cases of a part on the kernel and on stopcopy, and says of each cell whether they agree.
 *
 * A case is `{ name, run(card), ports?, noFds?, profiles?, differs? }`: `run` gives an answer as text, which must
 * be the same on both sides, or differ as the difference named in `differs[profile]` says. Or it is
 * `{ name, between(kernel, stopcopy), expected }`: something that happens between two devices.
 *
 * @module
 */
import { Card } from './card.mjs'
import { DIFFERENCES } from './differences.mjs'
import { openKernelCard, openStopcopyCard } from './targets.mjs'

/** What came of one case in one profile. */
function judge(kernel, stopcopy, differenceName) {
  if (differenceName === undefined) return kernel === stopcopy ? 'equal' : 'unnamed'
  // A named difference that is none any more is an error too: the name would hide the next one.
  if (kernel === stopcopy) return 'vanished'
  return DIFFERENCES[differenceName].matches(kernel, stopcopy) ? 'named' : 'unnamed'
}

async function opened(target, ports) {
  const card = new Card(target)
  card.ports = ports
  return card
}

/** The answer of `run`, or that it could not be given: a case that breaks on one side is a difference. */
async function answerOf(run) {
  try {
    return await run()
  } catch (error) {
    return `broken: ${error.message}`
  }
}

/**
 * @param {object} part
 * @param {object} agent
 * @param {(name: string) => void} onCase
 * @returns {Promise<object[]>} a cell for each case and profile
 */
export async function runPart(part, agent, onCase) {
  const cells = []
  for (const { name, ports = 2, noFds = false, profiles = ['exact'], differs = {}, ...test } of part.cases) {
    onCase(name)
    const kernel = await opened(await openKernelCard(agent, { ports, noFds }), ports)
    try {
      const kernelAnswer = test.run && (await answerOf(() => test.run(kernel)))
      for (const profile of profiles) {
        const stopcopy = await opened(await openStopcopyCard({ ports, noFds, profile }), ports)
        const answer = await answerOf(() => (test.run ? test.run(stopcopy) : test.between(kernel, stopcopy)))
        const wanted = test.run ? kernelAnswer : test.expected
        const verdict = judge(wanted, answer, differs[profile])
        cells.push({ part: part.title, name, profile, verdict, difference: differs[profile], kernel: wanted, stopcopy: answer })
        await stopcopy.target.end()
      }
    } finally {
      await kernel.target.end()
    }
  }
  return cells
}
