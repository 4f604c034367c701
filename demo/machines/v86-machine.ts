/**
 * A whole PC as a machine of the demo.
 *
 * @module
 */

import { createV86Machine, optionsFor, type V86Frame, type V86MachineOptions } from '../devices/v86/index.ts'
import type { GuestFiles } from './guest-files.ts'
import type { Machine, MachineHost } from './machine-kind.ts'
import { guestOf, PC_GUESTS, type PcGuest } from './pc-guests.ts'
import { scancodesOf } from './scancodes.ts'

/** How often pictures are compared whose machine does not tell that it draws. */
const COMPARE_MS = 16
/** No line that tells a tick is longer. */
const LINE_LENGTH = 32

/** Makes a PC that boots what its kind says. */
export async function bootPc(
  host: MachineHost,
  wasm: V86MachineOptions['wasm'],
  kind: string,
  files: GuestFiles,
): Promise<Machine> {
  const guest = PC_GUESTS[kind] as PcGuest
  return createPc(host, guest, { wasm, ...(await guest.boot(files)) })
}

/** Makes a PC that can take over what another one holds, by the configuration in its stream. */
export function emptyPc(
  host: MachineHost,
  wasm: V86MachineOptions['wasm'],
  configuration: Readonly<Record<string, unknown>>,
): Promise<Machine> {
  const [, guest] = guestOf(configuration['v86.guest'])
  return createPc(host, guest, { wasm, ...optionsFor(configuration) })
}

async function createPc(host: MachineHost, guest: PcGuest, options: V86MachineOptions): Promise<Machine> {
  let line = ''
  const machine = await createV86Machine({
    ...options,
    // Of a line that began before a hand-over there is only the rest.
    onSerial: (byte) => {
      if (byte !== 0x0a) {
        line = (line + String.fromCharCode(byte)).slice(-LINE_LENGTH)
        return
      }
      const tick = guest.tickOf(line)
      if (tick !== undefined) host.onTick(tick)
      line = ''
    },
    onWake: () => host.onWake?.(),
    onWorked: () => {
      if (performance.now() >= nextLookMs) look()
    },
  })
  let frame: V86Frame | undefined
  /** Of the picture that is on show. */
  let seen: number | undefined
  let nextLookMs = 0
  const current = (): V86Frame | undefined => {
    if (machine.hasDrawn) frame = machine.frame()
    return frame
  }
  const look = (): void => {
    if (!machine.hasDrawn) return
    const now = signatureOf(current())
    if (frame?.kind === 'graphics') nextLookMs = performance.now() + (machine.hasDrawn ? COMPARE_MS : 0)
    if (now === seen) return
    seen = now
    host.onPicture()
  }
  return {
    driver: machine.driver,
    tellsLate: true,
    wakes: true,
    ticks: () => guest.ticks(machine),
    picture() {
      seen = signatureOf(current())
      return frame?.kind === 'text' ? frame.picture() : frame
    },
    look,
    memory: () => [machine.ram],
    input(input) {
      if (input.type === 'key') machine.sendScancodes(scancodesOf(input.code, input.down))
    },
    destroy: () => machine.destroy(),
  }
}

/** Changes when the picture does. */
function signatureOf(frame: V86Frame | undefined): number {
  if (frame === undefined) return 0
  if (frame.kind === 'text') return frame.signature
  let hash = frame.width
  for (const pixel of new Int32Array(frame.pixels.buffer)) hash = Math.imul(hash ^ pixel, 0x01000193)
  return hash
}
