/**
 * The Linux guest in v86, without a screen: built when it is absent, booted, and reached by two serial ports.
 *
 * COM1 is the kernel's console and only kept for error messages; COM2 belongs to the agent alone, so no
 * message of the kernel can get between its bytes.
 *
 * @module
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { V86 } from 'v86'

const FOLDER = fileURLToPath(new URL('../../demo/guest/', import.meta.url))
const OUT = join(FOLDER, 'out')

/** Runs demo/guest/build.sh, which does nothing when what it builds is there and up to date. */
export function buildGuest() {
  const { status } = spawnSync(join(FOLDER, 'build.sh'), { stdio: ['ignore', 'inherit', 'inherit'] })
  if (status !== 0)
    throw new Error('Cannot run the oracle: there is no guest, see the message of build.sh above')
}

/** What build.sh wrote about the guest. */
export function guestFacts() {
  const path = join(OUT, 'guest.json')
  if (!existsSync(path)) throw new Error('Cannot run the oracle: there is no guest, leave --no-build out')
  return JSON.parse(readFileSync(path, 'utf8'))
}

function image(name) {
  return { buffer: new Uint8Array(readFileSync(join(OUT, name))).buffer }
}

/**
 * A booting guest. `onLine` gets each line that its agent sends.
 *
 * @param {{ onLine: (line: string) => void }} options
 */
export function bootGuest({ onLine }) {
  const { memoryBytes, commandLines } = guestFacts()
  const v86Folder = dirname(createRequire(import.meta.url).resolve('v86'))
  const machine = new V86({
    wasm_path: join(v86Folder, 'v86.wasm'),
    bios: image('bios.bin'),
    vga_bios: image('vgabios.bin'),
    bzimage: image('bzImage'),
    cmdline: commandLines.oracle,
    memory_size: memoryBytes,
    vga_memory_size: 2 << 20,
    uart1: true,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    autostart: true,
  })
  let console = ''
  let line = ''
  machine.add_listener('serial0-output-byte', (byte) => {
    console += String.fromCharCode(byte)
  })
  machine.add_listener('serial1-output-byte', (byte) => {
    const character = String.fromCharCode(byte)
    if (character !== '\n') line += character
    else {
      onLine(line)
      line = ''
    }
  })
  return {
    /** What the kernel and init said so far. */
    get console() {
      return console
    },
    send: (text) => machine.serial_send_bytes(1, new TextEncoder().encode(text)),
    destroy: () => machine.destroy(),
  }
}
