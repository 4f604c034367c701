/**
 * stopcopy's VMM side with a real kernel at one end: live migration, and saved files that are checked before
 * the kernel sees a byte of them.
 *
 * @module
 */
import { inspect, migrate, restore, save, verify, VfioError } from 'stopcopy'
import { Card } from '../card.mjs'
import { toHex } from '../hex.mjs'
import { freshStream, heldStream } from '../streams.mjs'

const CONTENT = heldStream()

/** Both ends of a move, filled, and a look at what the destination holds afterwards. */
async function moved(source, destination, move) {
  await new Card(source).load(CONTENT)
  await new Card(destination).load(freshStream(2))
  const says = await move(source.migrationDevice(), destination.migrationDevice())
  const card = new Card(destination)
  const state = await card.state()
  const held = await card.save()
  return `${says} destination ${state} ${toHex(held) === toHex(CONTENT) ? 'holds it' : `holds ${toHex(held)}`}`
}

/** A saved stream, in memory. */
async function saved(device) {
  const chunks = []
  await save(device, new WritableStream({ write: (chunk) => void chunks.push(chunk.slice()) }))
  return new Uint8Array(Buffer.concat(chunks))
}

const streamOf = (bytes) => new Blob([bytes]).stream()

async function live(source, destination) {
  const { owner, iterations } = await migrate(source, destination, { downtimeLimitMs: 1000 })
  return `live=${owner === 'destination' && iterations.length > 0}`
}

async function byFile(source, destination) {
  const file = await saved(source)
  const { sections } = await inspect(streamOf(file))
  await verify(streamOf(file))
  await restore(destination, streamOf(file))
  return `file=${sections.length > 0}`
}

/** Every 16th bit of the file, one at a time; none may reach the device. */
async function tampered(source, destination) {
  const file = await saved(source)
  let refused = 0
  let tried = 0
  for (let bit = 3; bit < file.length * 8; bit += 131) {
    const copy = file.slice()
    copy[bit >> 3] ^= 1 << (bit & 7)
    tried++
    try {
      await restore(destination, streamOf(copy))
    } catch (error) {
      if (VfioError.is(error)) refused++
      else throw error
    }
  }
  await restore(destination, streamOf(file))
  return `refused=${refused === tried}`
}

const MOVES = {
  'live, with PRE_COPY': { move: live, expected: 'live=true' },
  'saved, inspected, verified, restored': { move: byFile, expected: 'file=true' },
  'damaged files first, each refused': { move: tampered, expected: 'refused=true' },
}

export const vmm = {
  title: 'migrate, save, restore',
  cases: Object.entries(MOVES).flatMap(([name, { move, expected }]) =>
    ['kernel to stopcopy', 'stopcopy to kernel'].map((direction) => ({
      name: `${direction}, ${name}`,
      profiles: ['exact', 'strict'],
      expected: `${expected} destination RUNNING holds it`,
      between: async (kernel, stopcopy) =>
        direction === 'kernel to stopcopy'
          ? moved(kernel.target, stopcopy.target, move)
          : moved(stopcopy.target, kernel.target, move),
    })),
  ),
}
