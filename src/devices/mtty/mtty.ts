/**
 * mtty: a PCI serial card with one or two loop-back UARTs, as Linux's sample driver of that name
 * models it; the device to learn and test migration with.
 *
 * Its data session carries the Linux driver's 60 (one port) or 96 bytes (two ports), in both
 * profiles. PRE_COPY delivers the 24-byte header; STOP_COPY the ports, as they were when the arc
 * into it ran. `strict` follows the UAPI text, `exact` the Linux driver's checks and errnos:
 *
 * | | strict | exact |
 * |---|---|---|
 * | read at the end in PRE_COPY | ENOMSG, and poll is 0 | 0, and poll is always ready |
 * | a refused stream | see `resume-end.ts` | see `resume-end.ts` |
 * | DMA logging | a log (an mtty has no DMA, so it stays clean) | accepted without effect, no state kept |
 * | a full ring | reads as full | looks empty to RX and LSR until FCR clears it |
 * | IIR | the code of the highest priority | all codes ORed, data from the trigger level on |
 *
 * In both profiles the ports are range-checked at RESUMING to STOP, which the Linux driver does not
 * do, and the state after open is RUNNING, where Linux keeps that of the last close (facts A.7, F):
 * a stale STOP_COPY without a session helps nobody. Content outlives reset and close, as in Linux.
 *
 * The interrupt is one line for the card. It is asserted only while the device runs; a condition
 * that appears in a stopped state, or comes with a restored stream, asserts it when the device
 * runs again. Interrupt routing and PCI configuration are not part of the stream.
 *
 * @module
 */

import { DirtyLog } from '../../device/dirty-log.ts'
import type { DeviceIdentity, DeviceRegions, DirtyLogOps, Driver } from '../../device/driver.ts'
import type { PciFunction } from '../../device/pci-function.ts'
import { PciSlot } from '../../device/pci-slot.ts'
import { configurationFingerprint } from '../../driver/configuration.ts'
import type { Engine } from '../../engine/engine.ts'
import { VfioError } from '../../errors.ts'
import type { SessionEnd } from '../../session/session-end.ts'
import { DeviceState, MigrationFlag } from '../../uapi/state.ts'
import { imageBytes, portRecord } from './image.ts'
import { powerOnPort } from './port-record.ts'
import { mttyPci } from './mtty-pci.ts'
import { MttyResumeEnd } from './resume-end.ts'
import { MttySaveEnd } from './save-end.ts'
import { Uart, UART_REGISTERS } from './uart.ts'

/** Options of {@link createMtty}. */
export interface MttyOptions {
  /** UARTs on the card; default 1. */
  ports?: 1 | 2
  /** Default 'strict'. */
  profile?: 'strict' | 'exact'
  /** Accepted as by every device and not used: 96 bytes gain nothing from engine memory. */
  engine?: Engine
  /** Called when the interrupt line rises. */
  onInterrupt?: () => void
}

/** An mtty: a driver with the pins a test can look at. */
export interface Mtty extends Driver {
  /** How many serial ports it has. */
  readonly ports: 1 | 2
  /** See {@link MttyOptions}. */
  readonly profile: 'strict' | 'exact'
  /** Register access; region n is port n's. */
  readonly regions: DeviceRegions
  /** The card as a PCI function: what a bus shows of it, and where a host is plugged in. It makes no DMA. */
  readonly pci: PciFunction
  /** How often the interrupt line rose. */
  readonly interrupts: number
  /** Level of the interrupt line; low in every stopped state. */
  readonly interruptAsserted: boolean
}

/** The Linux driver accepts every logging call and never reports a page (facts A.6). */
const STATELESS_LOG: DirtyLogOps = {
  start: (_ranges, pageSize) => pageSize,
  stop: () => {},
  report: () => {},
}

/** Hashing the configuration would be most of what a device costs, so it is done once. */
const fingerprints = new Map<number, Uint8Array>()

function identityOf(ports: 1 | 2): DeviceIdentity {
  const configuration = { ports }
  const fingerprint = fingerprints.get(ports) ?? configurationFingerprint(configuration)
  fingerprints.set(ports, fingerprint)
  // A copy: nobody's change of it is another device's.
  return { type: 'mtty', version: 1, fingerprint: fingerprint.slice(), stream: 'opaque', configuration }
}

/**
 * Makes an mtty at power-on.
 *
 * Region n is the BAR of port n: registers 0 to 7 of a 16550, one byte each. A longer access is
 * one byte access after the other, in ascending order; one that leaves the BAR is EINVAL and has
 * no effect.
 *
 * @throws {@link VfioError} EINVAL when `ports` is not 1 or 2, or `profile` none of the two
 * @example
 * ```ts
 * import { DeviceState, VfioDevice } from 'stopcopy'
 * import { createMtty } from 'stopcopy/devices'
 * const mtty = createMtty({ ports: 2 })
 * const device = await VfioDevice.open(mtty)
 * device.regions?.write(0, 7, Uint8Array.of(0xa5))
 * const session = await device.setState(DeviceState.STOP_COPY)
 * console.log(session?.read(new Uint8Array(4096))) // 96
 * ```
 */
export function createMtty(options: MttyOptions = {}): Mtty {
  return new MttyDriver(options)
}

class MttyDriver implements Mtty {
  readonly flags: number = MigrationFlag.STOP_COPY | MigrationFlag.P2P | MigrationFlag.PRE_COPY
  readonly identity: DeviceIdentity
  readonly ports: 1 | 2
  readonly profile: 'strict' | 'exact'
  readonly dirtyLog: DirtyLogOps
  readonly regions: DeviceRegions
  readonly #uarts: readonly Uart[]
  readonly #onInterrupt: () => void
  #slot: PciSlot | undefined
  #pci: PciFunction | undefined
  #save: MttySaveEnd | undefined
  #resume: MttyResumeEnd | undefined
  #isRunning = true
  #interrupts = 0
  #interruptAsserted = false

  constructor({ ports = 1, profile = 'strict', onInterrupt = () => {} }: MttyOptions) {
    if (ports !== 1 && ports !== 2) {
      throw new VfioError('EINVAL', `Cannot create mtty: ports is ${String(ports)}, use 1 or 2`)
    }
    if (profile !== 'strict' && profile !== 'exact') {
      throw new VfioError(
        'EINVAL',
        `Cannot create mtty: profile is ${String(profile)}, use 'strict' or 'exact'`,
      )
    }
    this.identity = identityOf(ports)
    this.ports = ports
    this.profile = profile
    this.dirtyLog = profile === 'exact' ? STATELESS_LOG : new DirtyLog()
    this.#onInterrupt = onInterrupt
    this.#uarts = Array.from({ length: ports }, () => new Uart(powerOnPort(), profile === 'exact'))
    this.regions = {
      read: (index, offset, dst) => {
        const uart = this.#access(index, offset, dst.length)
        for (let at = 0; at < dst.length; at++) dst[at] = uart.read(offset + at)
        this.#updateInterrupt()
      },
      write: (index, offset, src) => {
        const uart = this.#access(index, offset, src.length)
        for (const [at, value] of src.entries()) uart.write(offset + at, value)
        this.#updateInterrupt()
      },
    }
  }

  get pci(): PciFunction {
    return (this.#pci ??= this.#plugIn())
  }

  get interrupts(): number {
    return this.#interrupts
  }

  get interruptAsserted(): boolean {
    return this.#interruptAsserted
  }

  open(): void {
    this.#run(true)
  }

  close(): void {
    this.#run(false)
    this.#dropSessions()
  }

  /**
   * @throws {@link VfioError} EINVAL from RESUMING to STOP when the stream is refused; nothing was
   * loaded and the session stays
   */
  transition(from: DeviceState, to: DeviceState): SessionEnd | undefined {
    if (from === DeviceState.RESUMING) this.#load()
    switch (to) {
      case DeviceState.STOP:
        this.#run(false)
        this.#dropSessions()
        return undefined
      case DeviceState.STOP_COPY: {
        const opened = this.#save === undefined
        this.#run(false)
        this.#save ??= new MttySaveEnd(this.ports, this.profile === 'exact')
        this.#save.appendPorts(this.#uarts.map(({ record }) => record))
        return opened ? this.#save : undefined
      }
      case DeviceState.RESUMING:
        return (this.#resume = new MttyResumeEnd(this.ports, this.profile === 'exact'))
      case DeviceState.RUNNING:
      case DeviceState.RUNNING_P2P:
        this.#run(true)
        this.#dropSessions()
        return undefined
      default:
        // Both PRE_COPY states: between them the session goes on.
        if (this.#save !== undefined) return undefined
        return (this.#save = new MttySaveEnd(this.ports, this.profile === 'exact'))
    }
  }

  /** The whole stream, 60 or 96 bytes, whatever was read: the Linux driver's constant, in both profiles. */
  stopCopyLength(): number {
    return imageBytes(this.ports)
  }

  /** Migration state only: the UARTs keep their content, and what an unfinished stream brought is dropped. */
  reset(): void {
    this.#dropSessions()
    this.#run(true)
  }

  #load(): void {
    const image = this.#resume?.complete()
    if (image === undefined) return
    for (const [index, uart] of this.#uarts.entries()) uart.record.set(portRecord(image, index))
  }

  #dropSessions(): void {
    this.#save = undefined
    this.#resume = undefined
  }

  #run(isRunning: boolean): void {
    this.#isRunning = isRunning
    this.#updateInterrupt()
  }

  #updateInterrupt(): void {
    const asserted = this.#isRunning && this.#uarts.some(({ interruptPending }) => interruptPending)
    const rises = asserted && !this.#interruptAsserted
    this.#interruptAsserted = asserted
    if (!rises) return
    this.#interrupts++
    this.#onInterrupt()
    this.#slot?.raise(0)
  }

  #plugIn(): PciFunction {
    const slot = new PciSlot()
    this.#slot = slot
    return mttyPci({
      ports: this.ports,
      intxAsserted: () => this.#interruptAsserted,
      connect: (host) => slot.connect(host),
    })
  }

  #access(index: number, offset: number, byteLength: number): Uart {
    const uart = this.#uarts[index]
    if (
      uart !== undefined &&
      Number.isInteger(offset) &&
      offset >= 0 &&
      offset + byteLength <= UART_REGISTERS
    ) {
      return uart
    }
    throw new VfioError(
      'EINVAL',
      `Cannot access registers: ${byteLength} bytes at ${offset} of region ${index} are not there, the mtty has ${this.ports} region(s) of ${UART_REGISTERS} bytes`,
    )
  }
}
