/**
 * Runs the cases of a part, and says of each cell whether kernel and stopcopy agree.
 *
 * A case is `{ name, run(card), ports?, noFds?, profiles?, differs? }`: `run` gives an answer as text, which must
 * be the same on both sides, or differ as the difference named in `differs[profile]` says. Or it is
 * `{ name, between(kernel, stopcopy), expected }`: something that happens between two devices. Or
 * `{ name, devices(create) }`: as `run`, but it opens and closes its devices itself.
 *
 * @module
 */
import { Card } from './card.mjs'
import { DIFFERENCES } from './differences.mjs'
import { heldStream } from './streams.mjs'

/** What came of one case in one profile. */
function judge(kernel, stopcopy, difference) {
  if (difference === undefined) return kernel === stopcopy ? 'equal' : 'unnamed'
  // A named difference that is none any more is an error too: the name would hide the next one.
  if (kernel === stopcopy) return 'vanished'
  return DIFFERENCES[difference].matches(kernel, stopcopy) ? 'named' : 'unnamed'
}

/** Opens a card for a case, and closes it whatever comes. A case that breaks on one side is an answer too. */
async function withCard(open, { ports = 2, noFds = false }, profile, run) {
  const card = new Card(await open({ ports, noFds, profile }), ports)
  try {
    return await run(card)
  } catch (error) {
    return `broken: ${error.message}`
  } finally {
    await card.target.end()
  }
}

/** A case's cells, one for each profile, given what the kernel answered. */
export async function judgeCase(part, test, kernelAnswer, openStopcopy) {
  const cells = []
  for (const profile of test.profiles ?? ['exact']) {
    const stopcopy = await withCard(openStopcopy, test, profile, test.run)
    const difference = test.differs?.[profile]
    const verdict = judge(kernelAnswer, stopcopy, difference)
    cells.push({
      part: part.title,
      name: test.name,
      profile,
      verdict,
      difference,
      kernel: kernelAnswer,
      stopcopy,
      recorded: true,
    })
  }
  return cells
}

/** A case between two devices: for each profile, whether it came out as it must. */
async function crossCase(part, test, openKernel, openStopcopy) {
  const cells = []
  for (const profile of test.profiles) {
    const answer = await withCard(openKernel, test, undefined, (kernel) =>
      withCard(openStopcopy, test, profile, (stopcopy) => test.between(kernel, stopcopy)),
    )
    const verdict = judge(test.expected, answer)
    cells.push({
      part: part.title,
      name: test.name,
      profile,
      verdict,
      kernel: test.expected,
      stopcopy: answer,
    })
  }
  return cells
}

/** What both sides can show of a device: no registers and no byte ioctl, which are not immediate in a guest. */
function remotePart(device) {
  return new Proxy(device, {
    get(target, name) {
      if (name === 'regions' || name === 'ioctl') return undefined
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** A case that opens its own devices; what it leaves open is closed. */
async function deviceCase(part, test, openKernel, openStopcopy) {
  const answers = []
  for (const open of [openKernel, openStopcopy]) {
    const targets = []
    const create = async () => {
      const target = await open({})
      targets.push(target)
      // A card of the kernel keeps what the case before left in it; the suite wants devices alike.
      await new Card(target).load(heldStream())
      return remotePart(target.migrationDevice())
    }
    answers.push(await test.devices(create))
    for (const target of targets) await target.end()
  }
  const [kernel, stopcopy] = answers
  const difference = test.differs?.exact
  const isAbsent = kernel === stopcopy && kernel.startsWith('not applicable')
  const verdict = isAbsent ? 'not applicable' : judge(kernel, stopcopy, difference)
  return [{ part: part.title, name: test.name, profile: 'exact', verdict, difference, kernel, stopcopy }]
}

/** Every case of a part, on both sides. `onCase` is told before each. */
export async function runPart(part, openKernel, openStopcopy, onCase) {
  const cells = []
  for (const test of part.cases) {
    onCase(test.name)
    if (test.between) cells.push(...(await crossCase(part, test, openKernel, openStopcopy)))
    else if (test.devices) cells.push(...(await deviceCase(part, test, openKernel, openStopcopy)))
    else {
      const answer = await withCard(openKernel, test, undefined, test.run)
      cells.push(...(await judgeCase(part, test, answer, openStopcopy)))
    }
  }
  return cells
}
