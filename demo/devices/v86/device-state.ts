/**
 * All of v86's state but RAM and video memory, which are memory regions of the device.
 *
 * v86 gives and takes it as a tree of values and typed arrays. Its own file would be copied three times on
 * the way, and one number that gets a digit more moves everything behind it: so the tree is written here, in
 * place, and what does not change keeps its pages.
 *
 * ```text
 * little endian
 *  0 u32 magic "pc86"       8 u32 bytes in all
 *  4 u32 version 1         12 u32 bytes of JSON
 * 16 JSON { state, buffer_infos: [{ offset, length }] } as v86 writes it
 *    the buffers at their offsets, long ones at pages of their own, short ones together
 * ```
 *
 * @module
 */

import { VfioError } from 'stopcopy'
import type { V86Core, V86Cpu } from './internals.ts'
import { type BufferInfo, revive, treeOf } from './state-tree.ts'

const MAGIC = 0x36386370
const VERSION = 1
const HEADER_BYTES = 16
const PAGE_BYTES = 4096
/** Room that the JSON takes is a multiple of this: it has 7 to 8 KB, and what comes behind stays in its place. */
const JSON_ROOM_BYTES: number = 16 * 1024
/** Short buffers begin at multiples of this. */
const ALIGNMENT = 8
/** Where RAM's size and the video adapter's state, which begins with its memory's size, stand in `state`. */
const MEMORY_SIZE_AT = 0
const VGA_AT = 52
/** Where the video adapter's planes stand in its state: v86 copies them out of it, all else it keeps. */
const PLANES_AT = 6

/** A state that was read and can be taken over. */
export type ReadState = readonly unknown[]

/**
 * Writes the state to `room`; how many bytes it has. The machine must be between two ticks, which it always is
 * when somebody else runs.
 *
 * @throws {VfioError} EMSGSIZE when it does not fit
 */
export function saveDeviceState(core: V86Core, room: Uint8Array): number {
  const { tree, buffers } = treeOf(valuesOf(core))
  const infos: BufferInfo[] = []
  let jsonRoom = JSON_ROOM_BYTES
  let end = place(buffers, jsonRoom, infos)
  let json = encode(tree, infos)
  while (HEADER_BYTES + json.length > jsonRoom) {
    // Offsets may get a digit more, too.
    jsonRoom = roundUp(HEADER_BYTES + json.length, JSON_ROOM_BYTES)
    end = place(buffers, jsonRoom, infos)
    json = encode(tree, infos)
  }
  if (end > room.length)
    throw new VfioError(
      'EMSGSIZE',
      `Cannot save the machine: its device state has ${end} bytes, of which ${room.length} were expected, report it`,
    )
  const view = new DataView(room.buffer, room.byteOffset, HEADER_BYTES)
  for (const [n, value] of [MAGIC, VERSION, end, json.length].entries()) view.setUint32(4 * n, value, true)
  room.set(json, HEADER_BYTES)
  let filled = HEADER_BYTES + json.length
  for (const n of [...infos.keys()].sort((a, b) => at(infos, a).offset - at(infos, b).offset)) {
    const { offset, length } = at(infos, n)
    // What an earlier state left between is not of this one.
    room.fill(0, filled, offset)
    room.set(at(buffers, n), offset)
    filled = offset + length
  }
  room.fill(0, filled, end)
  return end
}

/** Takes a state over; RAM and video memory stay. Throws what v86 throws, and then the machine is of no use. */
export function restoreDeviceState({ cpu }: V86Core, state: ReadState): void {
  cpu.unpack_memory = () => {}
  clearClockOffset(cpu)
  try {
    cpu.set_state(state)
  } finally {
    // The prototype's own shows again.
    delete cpu.unpack_memory
  }
}

/**
 * Reads a state that came from elsewhere and checks it as far as it can be told without v86. Restore it before
 * `bytes` change: the largest of its buffers stays there.
 *
 * @throws {VfioError} EINVAL saying what is wrong with it
 */
export function readDeviceState(bytes: Uint8Array, { cpu }: V86Core): ReadState {
  if (bytes.length < HEADER_BYTES) throw refusal(`a v86 state of ${bytes.length} bytes is cut short`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== MAGIC) throw refusal('it holds no v86 state')
  if (view.getUint32(4, true) !== VERSION)
    throw refusal(
      `its v86 state is of version ${view.getUint32(4, true)}, this device reads version ${VERSION}`,
    )
  const jsonEnd = HEADER_BYTES + view.getUint32(12, true)
  if (view.getUint32(8, true) !== bytes.length || jsonEnd > bytes.length)
    throw refusal('the lengths in its v86 state do not match')
  let info: unknown
  try {
    info = JSON.parse(new TextDecoder().decode(bytes.subarray(HEADER_BYTES, jsonEnd)))
  } catch {
    throw refusal('its v86 state is not readable')
  }
  const { state: tree, buffer_infos: infos } = (info ?? {}) as { state?: unknown; buffer_infos?: unknown }
  if (!Array.isArray(tree) || !Array.isArray(infos)) throw refusal('its v86 state has no state or no buffers')
  const planes = takePlanes(tree, infos as unknown[])
  const state = revive(tree as unknown[], infos as unknown[], bytes)
  if (typeof state === 'string') throw refusal(state)
  if (planes !== undefined)
    (state[VGA_AT] as unknown[])[PLANES_AT] = bytes.subarray(planes.offset, planes.offset + planes.length)
  const memoryBytes = state[MEMORY_SIZE_AT]
  const vgaBytes = (state[VGA_AT] as unknown[] | undefined)?.[0]
  if (memoryBytes !== cpu.mem8.length || vgaBytes !== cpu.devices.vga.svga_memory.length)
    throw refusal(
      `its v86 has ${String(memoryBytes)} bytes of RAM and ${String(vgaBytes)} of video memory, this one another size`,
    )
  return state
}

/** Takes the planes out of a tree that has some, so that they are not copied; `revive` looks where they lie. */
function takePlanes(tree: readonly unknown[], infos: readonly unknown[]): BufferInfo | undefined {
  const vga = tree[VGA_AT]
  if (!Array.isArray(vga)) return undefined
  const { buffer_id: id, __state_type__: type } = (vga[PLANES_AT] ?? {}) as Record<string, unknown>
  const info = typeof id === 'number' && type === 'Uint8Array' ? infos[id] : undefined
  if (info === undefined) return undefined
  vga[PLANES_AT] = null
  return info as BufferInfo
}

/**
 * v86's `set_tsc` forgets the offset that an earlier one left: of a machine that took a state over before, the
 * time stamp counter would come out too high by its age, and each hand-over would add the ages of both machines.
 * A guest that sees hours pass in an instant may owe them to another of its processes, and show no sign of life
 * meanwhile. Set to itself, the counter has no offset; where v86 does it right, nothing changes.
 */
function clearClockOffset({ wm, current_tsc: counter }: V86Cpu): void {
  wm.exports.store_current_tsc()
  wm.exports.set_tsc(counter[0] as number, counter[1] as number)
}

/** What v86 would save, without what is a memory region or is made from one. */
function valuesOf({ cpu }: V86Core): readonly unknown[] {
  const { vga } = cpu.devices
  const { svga_memory: videoMemory, pixel_buffer: pixels } = vga
  cpu.pack_memory = () => ({
    packed_memory: new Uint8Array(0),
    bitmap: { get_buffer: () => new ArrayBuffer(0) },
  })
  vga.svga_memory = new Uint8Array(0)
  vga.pixel_buffer = new Uint8Array(0)
  try {
    const values = cpu.get_state()
    // The adapter is asked here, as long as it holds nothing of its memory.
    return values.map((value, n) => (n === VGA_AT ? vga.get_state() : value))
  } finally {
    vga.svga_memory = videoMemory
    vga.pixel_buffer = pixels
    delete cpu.pack_memory
  }
}

/** Finds places: the short buffers first, behind the JSON. Where they end. */
function place(buffers: readonly Uint8Array[], jsonRoom: number, infos: BufferInfo[]): number {
  let end = jsonRoom
  for (const isLong of [false, true])
    for (const [n, { length }] of buffers.entries()) {
      if (length >= PAGE_BYTES !== isLong) continue
      infos[n] = { offset: roundUp(end, isLong ? PAGE_BYTES : ALIGNMENT), length }
      end = at(infos, n).offset + length
    }
  return end
}

function encode(state: unknown, infos: readonly BufferInfo[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ state, buffer_infos: infos }))
}

function roundUp(bytes: number, multiple: number): number {
  return Math.ceil(bytes / multiple) * multiple
}

function at<T>(list: readonly T[], n: number): T {
  return list[n] as T
}

function refusal(fault: string): VfioError {
  return new VfioError('EINVAL', `Cannot load the machine: ${fault}`)
}
