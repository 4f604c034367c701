/**
 * XXH3-64 of bytes that come in pieces, over the state that `assembly/xxh3-stream.ts` draws. Pointers
 * are checked by the caller.
 *
 * @module
 */

import { hashUpTo240 } from './xxh3.ts'
import { BLOCK_BYTES, STRIPE_BYTES, addBlocks, finish, initialLanes, wholeBlocks } from './xxh3-long.ts'
import { SECRET_BYTES, storeSecret } from './xxh3-secret.ts'

const LENGTH_AT = 0
const SEED_AT = 8
const LANES_AT = 16
const LANE_WORDS = 16
const SECRET_AT = 80
const BEFORE_AT = 272
const WAITING_AT = 336

/** Twin of `xxh3Start`. */
export function startXxh3(view: DataView, state: number, seed: bigint): void {
  view.setBigUint64(state + LENGTH_AT, 0n, true)
  view.setBigUint64(state + SEED_AT, seed, true)
  storeLanes(view, state, initialLanes())
  storeSecret(view, state + SECRET_AT, seed)
}

/** Twin of `xxh3Update`. */
export function updateXxh3(view: DataView, state: number, src: number, length: number): void {
  if (length === 0) return
  const bytes = new Uint8Array(view.buffer)
  const total = view.getBigUint64(state + LENGTH_AT, true)
  const waiting = waitingBytes(total)
  view.setBigUint64(state + LENGTH_AT, total + BigInt(length), true)
  const fill = Math.min(length, BLOCK_BYTES - waiting)
  bytes.copyWithin(state + WAITING_AT + waiting, src, src + fill)
  if (fill === length) return
  const lanes = loadLanes(view, state)
  const secret = secretOf(view, state)
  const end = src + length
  addBlocks(lanes, view, state + WAITING_AT, 1, secret)
  let next = src + fill
  let before = state + WAITING_AT + BLOCK_BYTES - STRIPE_BYTES
  const blocks = wholeBlocks(end - next)
  if (blocks > 0) {
    addBlocks(lanes, view, next, blocks, secret)
    next += blocks * BLOCK_BYTES
    before = next - STRIPE_BYTES
  }
  storeLanes(view, state, lanes)
  bytes.copyWithin(state + BEFORE_AT, before, before + STRIPE_BYTES)
  bytes.copyWithin(state + WAITING_AT, next, end)
}

/** Twin of `xxh3Digest`: the hash of all bytes so far. */
export function digestXxh3(view: DataView, state: number): bigint {
  const total = view.getBigUint64(state + LENGTH_AT, true)
  const waiting = state + WAITING_AT
  if (total <= 240n)
    return hashUpTo240(view, waiting, Number(total), view.getBigUint64(state + SEED_AT, true))
  return finish(loadLanes(view, state), view, waiting, waitingBytes(total), total, secretOf(view, state))
}

/** How many of `total` bytes no block has taken: 1 to 1024, none only at the start. */
function waitingBytes(total: bigint): number {
  return total === 0n ? 0 : Number((total - 1n) % BigInt(BLOCK_BYTES)) + 1
}

function secretOf(view: DataView, state: number): DataView {
  return new DataView(view.buffer, state + SECRET_AT, SECRET_BYTES)
}

function loadLanes(view: DataView, state: number): Uint32Array {
  return Uint32Array.from({ length: LANE_WORDS }, (_, i) => view.getUint32(state + LANES_AT + 4 * i, true))
}

function storeLanes(view: DataView, state: number, lanes: Uint32Array): void {
  for (const [i, lane] of lanes.entries()) view.setUint32(state + LANES_AT + 4 * i, lane, true)
}
