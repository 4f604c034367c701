/**
 * The machine as a device: RAM and video memory by foreign memory, the rest as v86 tells it.
 *
 * @module
 */

import { type DefinedDevice, defineDevice, DeviceState, u32, VfioError, wrapMemory } from 'stopcopy'
import { readDeviceState, restoreDeviceState, saveDeviceState } from './device-state.ts'
import { type Emulator, hardDisk, loadEmulator } from './emulator.ts'
import { hardware } from './hardware.ts'
import type { V86Core } from './internals.ts'
import type { V86Machine, V86MachineOptions } from './options.ts'
import { PowerOnImage } from './power-on-image.ts'
import { frameOf, hasDrawn } from './screen.ts'

const DEFAULT_MEMORY_BYTES: number = 16 * 1024 * 1024
const DEFAULT_VGA_BYTES: number = 2 * 1024 * 1024
/** Room for the device state of a machine without disks: about 0.6 MiB are used. */
const STATE_ROOM_BYTES: number = 1024 * 1024

/** The device's type in streams. */
const DEVICE_TYPE = 'v86'

/**
 * Makes a machine. It runs when its device is opened.
 *
 * @throws {VfioError} EINVAL for options that make no machine; EOPNOTSUPP for another v86 than
 * `V86_VERSION`; EIO when v86 does not load
 */
export async function createV86Machine(options: V86MachineOptions): Promise<V86Machine> {
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES
  const vgaMemoryBytes = options.vgaMemoryBytes ?? DEFAULT_VGA_BYTES
  checkSize('RAM', memoryBytes)
  checkSize('video memory', vgaMemoryBytes)
  const emulator = await loadEmulator(options, { memoryBytes, vgaMemoryBytes })
  // v86 keeps its disks in its device state.
  const { cdrom, floppy } = options
  const disks = (hardDisk(options)?.length ?? 0) + (cdrom?.byteLength ?? 0) + (floppy?.byteLength ?? 0)
  return new Machine(emulator, options, STATE_ROOM_BYTES + Math.ceil(disks / 4096) * 4096)
}

class Machine implements V86Machine {
  readonly driver: V86Machine['driver']
  readonly #emulator: Emulator
  readonly #core: V86Core
  readonly #powerOn: PowerOnImage
  readonly #ramOffset: number
  readonly #ramBytes: number
  #failure: unknown
  /** It was let run and has done nothing yet. */
  #isAsleep = false
  /** Whether the captured state is the machine's: its time stamp counter would go on while it is stopped. */
  #isCaptured = false

  constructor(emulator: Emulator, options: V86MachineOptions, stateBytes: number) {
    this.#emulator = emulator
    const { core } = emulator.internals
    this.#core = core
    const { cpu } = core
    this.#ramOffset = cpu.mem8.byteOffset
    this.#ramBytes = cpu.mem8.length
    this.#powerOn = new PowerOnImage(core, this.ram, stateBytes)
    this.#watch(options)
    const { onSerial } = options
    if (onSerial !== undefined) emulator.v86.add_listener('serial0-output-byte', onSerial)
    this.driver = this.#define(stateBytes, hardware(options))
  }

  get ram(): Uint8Array<ArrayBuffer> {
    const { buffer } = this.#core.cpu.wasm_memory
    return new Uint8Array(buffer, this.#ramOffset, this.#ramBytes)
  }

  get hasDrawn(): boolean {
    return hasDrawn(this.#core.cpu.devices.vga)
  }

  frame(): ReturnType<V86Machine['frame']> {
    return frameOf(this.#emulator.internals)
  }

  sendScancodes(codes: readonly number[]): void {
    this.#isCaptured = false
    this.#emulator.v86.keyboard_send_scancodes([...codes])
  }

  sendSerial(bytes: Uint8Array): void {
    this.#isCaptured = false
    this.#emulator.v86.serial_send_bytes(0, bytes)
  }

  async destroy(): Promise<void> {
    this.#stop()
    await this.#emulator.v86.destroy()
  }

  #define(
    stateBytes: number,
    configuration: Record<string, string | number>,
  ): DefinedDevice<{ stateBytes: ReturnType<typeof u32> }, 'ram' | 'vga' | 'rest'> {
    const core = this.#core
    const { cpu } = core
    const allocate = (bytes: number): number => cpu.wm.exports.v86_malloc(bytes)
    const wrap = (bytes: Uint8Array) =>
      wrapMemory(cpu.wasm_memory, {
        byteOffset: bytes.byteOffset,
        byteLength: bytes.length,
        allocate,
        stable: true,
      })
    return defineDevice({
      type: DEVICE_TYPE,
      version: 1,
      configuration,
      state: { stateBytes: u32({ max: stateBytes }) },
      memory: {
        ram: wrap(cpu.mem8),
        vga: wrap(cpu.devices.vga.svga_memory),
        rest: { byteLength: stateBytes, tracking: 'hash' },
      },
      resume: () => {
        this.#checkAlive('run')
        this.#powerOn.leave()
        this.#isCaptured = false
        this.#isAsleep = true
        core.run()
      },
      quiesce: () => this.#stop(),
      capture: ({ state, memory }, { running }) => {
        this.#checkAlive('save')
        if (this.#isCaptured) return
        const room = memory.rest.bytes
        const used = saveDeviceState(core, room)
        room.fill(0, used, Math.max(used, state.stateBytes))
        state.stateBytes = used
        this.#isCaptured = !running
      },
      load: ({ state, memory }) => {
        const saved = readDeviceState(memory.rest.bytes.subarray(0, state.stateBytes), core)
        this.#powerOn.leave()
        restoreDeviceState(core, saved)
        this.#isCaptured = true
      },
      reset: ({ memory }) => {
        this.#failure = undefined
        this.#isCaptured = false
        this.#powerOn.restore(core, memory.ram.bytes, memory.vga.bytes)
      },
    })
  }

  /**
   * v86's own `stop` waits for its next tick, up to 30 ms. Between two ticks, which is whenever anybody else
   * runs, it can take that step at once; the tick that was due then finds another number and does nothing.
   */
  #stop(): void {
    const core = this.#core
    if (!core.running) return
    core.stopping = true
    core.tick_counter++
    core.do_tick()
  }

  /** A tick that throws would end the program, or leave the machine running for ever. */
  #watch({ onFailure, onWake, onWorked }: V86MachineOptions): void {
    const core = this.#core
    const tick = core.do_tick.bind(core)
    core.do_tick = () => {
      if (this.#isAsleep && !core.stopping) {
        this.#isAsleep = false
        onWake?.()
      }
      try {
        tick()
      } catch (error) {
        this.#failure = error
        core.running = false
        core.stopping = false
        core.tick_counter++
        onFailure?.(error)
      }
      if (core.running) onWorked?.()
    }
  }

  #checkAlive(action: string): void {
    if (this.#failure === undefined) return
    throw new VfioError('EIO', `Cannot ${action} the machine: the emulator failed, reset it`, {
      state: DeviceState.ERROR,
      cause: this.#failure,
    })
  }
}

function checkSize(what: string, bytes: number): void {
  if (bytes >= 1 << 20 && bytes <= 1 << 30 && Number.isInteger(Math.log2(bytes))) return
  throw new VfioError(
    'EINVAL',
    `Cannot make a machine: ${bytes} bytes of ${what} are no power of two, use 1 MiB to 1 GiB`,
  )
}
