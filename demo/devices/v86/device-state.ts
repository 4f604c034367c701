/**
 * All of v86's state but RAM and video memory, which are memory regions of the device.
 *
 * `save_state` and `restore_state` do it, with the parts that they would copy taken out for one call.
 *
 * ```text
 * a v86 state, little endian
 *  0 u32 magic 0x86768676   8 u32 bytes in all
 *  4 u32 version 6         12 u32 bytes of JSON
 * 16 JSON { state, buffer_infos: [{ offset, length }] }, then the buffers, each at a multiple of 4
 * ```
 *
 * @module
 */

import type { V86Core } from './internals.ts'

const MAGIC = 0x86768676
const VERSION = 6
const HEADER_BYTES = 16
/** Where RAM's size and the video adapter's state, which begins with its memory's size, stand in `state`. */
const MEMORY_SIZE_AT = 0
const VGA_AT = 52

/** The state. The machine must be between two ticks, which it always is when somebody else runs. */
export function saveDeviceState(core: V86Core): Uint8Array<ArrayBuffer> {
  const { cpu } = core
  const { vga } = cpu.devices
  const videoMemory = vga.svga_memory
  cpu.pack_memory = () => ({
    packed_memory: new Uint8Array(0),
    bitmap: { get_buffer: () => new ArrayBuffer(0) },
  })
  vga.svga_memory = new Uint8Array(0)
  try {
    return new Uint8Array(core.save_state())
  } finally {
    vga.svga_memory = videoMemory
    // The prototype's own shows again.
    delete cpu.pack_memory
  }
}

/** Takes a state over; RAM and video memory stay. Throws what v86 throws, and then the machine is of no use. */
export function restoreDeviceState(core: V86Core, state: Uint8Array): void {
  const { cpu } = core
  cpu.unpack_memory = () => {}
  try {
    // A buffer that begins with the state: v86 reads it from its beginning.
    core.restore_state(state.slice().buffer)
  } finally {
    delete cpu.unpack_memory
  }
}

/** In words what is wrong with a state that came from elsewhere, as far as it can be told without v86. */
export function deviceStateFault(state: Uint8Array, core: V86Core): string | undefined {
  if (state.length < HEADER_BYTES) return `a v86 state of ${state.length} bytes is cut short`
  const view = new DataView(state.buffer, state.byteOffset, state.length)
  if (view.getUint32(0, true) !== MAGIC) return 'it holds no v86 state'
  if (view.getUint32(4, true) !== VERSION)
    return `its v86 state is of version ${view.getUint32(4, true)}, this v86 reads version ${VERSION}`
  const infoBytes = view.getUint32(12, true)
  const buffersAt = HEADER_BYTES + infoBytes + (-infoBytes & 3)
  if (view.getUint32(8, true) !== state.length || buffersAt > state.length)
    return 'the lengths in its v86 state do not match'
  let info: unknown
  try {
    info = JSON.parse(new TextDecoder().decode(state.subarray(HEADER_BYTES, HEADER_BYTES + infoBytes)))
  } catch {
    return 'its v86 state is not readable'
  }
  const { state: values, buffer_infos: buffers } = (info ?? {}) as { state?: unknown; buffer_infos?: unknown }
  if (!Array.isArray(values) || !Array.isArray(buffers)) return 'its v86 state has no state or no buffers'
  const room = state.length - buffersAt
  if (!buffers.every((each) => isInside(each as { offset?: unknown; length?: unknown }, room)))
    return 'a buffer of its v86 state lies outside'
  const { cpu } = core
  const memoryBytes = values[MEMORY_SIZE_AT] as unknown
  const vgaBytes = (values[VGA_AT] as unknown[] | undefined)?.[0]
  if (memoryBytes !== cpu.mem8.length || vgaBytes !== cpu.devices.vga.svga_memory.length)
    return `its v86 has ${String(memoryBytes)} bytes of RAM and ${String(vgaBytes)} of video memory, this one another size`
  return undefined
}

function isInside({ offset, length }: { offset?: unknown; length?: unknown }, room: number): boolean {
  return (
    typeof offset === 'number' &&
    typeof length === 'number' &&
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= room
  )
}
