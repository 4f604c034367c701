/** v86's state as a tree of values and buffers. */

import { describe, expect, it } from 'vitest'
import { type BufferInfo, revive, treeOf } from '../../../demo/devices/v86/state-tree.ts'

/** A typed array as v86 shows one of its WASM memory. */
const proxied = (array: Uint16Array): Uint16Array =>
  new Proxy({} as Uint16Array, { get: (_, name) => Reflect.get(array, name) as unknown })

const values = [
  1,
  true,
  null,
  'text',
  [2, [3]],
  new Map([['key', 4]]),
  new Int32Array([-1, 5]),
  proxied(new Uint16Array([6, 7, 8])),
  { get_state: () => [9, new Uint8Array([10])] },
]

/** The tree as it would arrive, its buffers in one place. */
function moved(): { tree: unknown[]; infos: BufferInfo[]; bytes: Uint8Array } {
  const { tree, buffers } = treeOf(values)
  const infos: BufferInfo[] = []
  let end = 0
  for (const { length } of buffers) {
    infos.push({ offset: end, length })
    end += length
  }
  const bytes = new Uint8Array(end)
  for (const [n, buffer] of buffers.entries()) bytes.set(buffer, infos[n]?.offset)
  return { tree: JSON.parse(JSON.stringify(tree)) as unknown[], infos, bytes }
}

describe('the tree of a v86 state', () => {
  it('comes back as it was, with buffers of its own', () => {
    const { tree, infos, bytes } = moved()
    const state = revive(tree, infos, bytes) as unknown[]
    bytes.fill(0)
    expect(state).toEqual([...values.slice(0, 7), new Uint16Array([6, 7, 8]), [9, new Uint8Array([10])]])
  })

  it.each([
    ['a buffer behind the end', (infos: BufferInfo[]) => (infos[0] = { offset: 8, length: 64 }), /outside/],
    ['a buffer before the begin', (infos: BufferInfo[]) => (infos[0] = { offset: -8, length: 8 }), /outside/],
    ['half a number', (infos: BufferInfo[]) => (infos[0] = { offset: 0, length: 7 }), /broken number/],
    ['no buffers', (infos: BufferInfo[]) => infos.splice(0), /no known type/],
  ])('with %s is refused in words', (_, damage, reason) => {
    const { tree, infos, bytes } = moved()
    damage(infos)
    expect(revive(tree, infos, bytes)).toMatch(reason)
  })

  it.each(['constructor', 'Function', '__proto__'])('makes no %s', (type) => {
    const tree = [JSON.parse(`{ "__state_type__": "${type}", "buffer_id": 0 }`) as unknown]
    expect(revive(tree, [{ offset: 0, length: 0 }], new Uint8Array(0))).toMatch(/no known type/)
  })
})
