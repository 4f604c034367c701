/**
 * Configuration space of a PCI function: a type 0 header and its capabilities, as the PCI Local Bus 3.0 and PCI
 * Express specifications have them.
 *
 * ```text
 * 00 vendor, device   04 command, status   08 revision, class   0c cache line, latency, header type, BIST
 * 10 six BARs         2c subsystem ids     34 capabilities      3c interrupt line, pin
 * 40 power management and PCI Express (with `express`), MSI, MSI-X (where there are vectors)
 * ```
 * It has no expansion ROM, no VGA, no function level reset, and of PCI Express's extended space nothing.
 *
 * @module
 */

import type { PciBar, PciFunction } from '../device/pci-function.ts'
import { VfioError } from '../errors.ts'
import { checkPciFunction } from './check-pci-function.ts'
import { Msix, type MsixState } from './msix.ts'
import {
  ExpressEndpoint,
  Msi,
  type MsiState,
  type PciCapability,
  PowerManagement,
} from './pci-capabilities.ts'
import { RegisterFile } from './register-file.ts'

const COMMAND = 0x04
const STATUS = 0x06
const FIRST_BAR = 0x10
const CAPABILITIES = 0x34
const FIRST_CAPABILITY = 0x40
const CONVENTIONAL_BYTES = 256
const EXPRESS_BYTES = 4096

const COMMAND_IO = 1 << 0
const COMMAND_MEMORY = 1 << 1
const COMMAND_MASTER = 1 << 2
const COMMAND_PARITY = 1 << 6
const COMMAND_SERR = 1 << 8
const COMMAND_INTX_DISABLE = 1 << 10
const STATUS_INTX = 1 << 3
const STATUS_CAPABILITIES = 1 << 4

const BAR_IO = 1
const BAR_64_BIT = 1 << 2
const BAR_PREFETCHABLE = 1 << 3

/** Configuration space, and what software has set up in it. */
export interface ConfigSpace {
  /** 256, or 4096 on PCI Express. */
  readonly byteLength: number
  /** The function's BARs and the one of MSI-X, by index. */
  readonly bars: readonly PciBar[]
  /** Whether it answers at its I/O BARs; false in D3hot, as the next two. */
  readonly ioEnabled: boolean
  /** Whether it answers at its memory BARs. */
  readonly memoryEnabled: boolean
  /** Whether it may reach host memory and send MSI. */
  readonly busMaster: boolean
  /** Whether it must not assert INTx. */
  readonly intxDisabled: boolean
  /** Undefined without MSI vectors. */
  readonly msi: MsiState | undefined
  /** Undefined without MSI-X vectors. */
  readonly msix: MsixState | undefined
  /** Fills `dst`, of any length, from `offset`. @throws {@link VfioError} EINVAL outside */
  read(offset: number, dst: Uint8Array): void
  /** Stores the writable bits of `src`, of any length. @throws {@link VfioError} EINVAL outside */
  write(offset: number, src: Uint8Array): void
  /** Everything as at power-on, the MSI-X table too. */
  reset(): void
}

/**
 * Makes the configuration space of a function.
 *
 * @throws {@link VfioError} EINVAL when a value of the function does not fit, or no BAR is left for MSI-X
 */
export function createConfigSpace(pci: PciFunction): ConfigSpace {
  checkPciFunction(pci)
  return new TypeZeroSpace(pci)
}

class TypeZeroSpace implements ConfigSpace {
  readonly bars: readonly PciBar[]
  readonly msi: Msi | undefined
  readonly msix: Msix | undefined
  readonly #pci: PciFunction
  readonly #registers: RegisterFile
  readonly #capabilities: readonly PciCapability[]
  readonly #power: PowerManagement | undefined

  constructor(pci: PciFunction) {
    const { interrupts, express = false } = pci
    this.#pci = pci
    this.#registers = new RegisterFile(express ? EXPRESS_BYTES : CONVENTIONAL_BYTES)
    this.#power = express ? new PowerManagement() : undefined
    this.msi = interrupts.msi === 0 ? undefined : new Msi(interrupts.msi)
    this.msix = interrupts.msix === 0 ? undefined : new Msix(interrupts.msix, freeBar(pci.bars))
    this.bars = [...pci.bars, ...(this.msix === undefined ? [] : [this.msix.bar])].sort(
      (a, b) => a.index - b.index,
    )
    const hasIo = pci.bars.some(({ kind }) => kind === 'io')
    const endpoint = express ? new ExpressEndpoint(hasIo) : undefined
    this.#capabilities = [this.#power, endpoint, this.msi, this.msix].filter((one) => one !== undefined)
    this.#defineHeader(hasIo)
    for (const bar of this.bars) this.#defineBar(bar)
    this.#defineCapabilities()
  }

  get byteLength(): number {
    return this.#registers.byteLength
  }

  get ioEnabled(): boolean {
    return this.#commands(COMMAND_IO)
  }

  get memoryEnabled(): boolean {
    return this.#commands(COMMAND_MEMORY)
  }

  get busMaster(): boolean {
    return this.#commands(COMMAND_MASTER)
  }

  get intxDisabled(): boolean {
    return (this.#registers.u16(COMMAND) & COMMAND_INTX_DISABLE) !== 0
  }

  read(offset: number, dst: Uint8Array): void {
    this.#check('read', offset, dst.length)
    // Shown whether the command register lets it reach the line or not.
    this.#registers.put(STATUS, STATUS_INTX, this.#pci.intxAsserted ? STATUS_INTX : 0)
    this.#registers.read(offset, dst)
  }

  write(offset: number, src: Uint8Array): void {
    this.#check('write', offset, src.length)
    this.#registers.write(offset, src)
    this.#settle()
  }

  reset(): void {
    this.#registers.reset()
    this.msix?.reset()
    this.#settle()
  }

  #commands(bit: number): boolean {
    return (this.#registers.u16(COMMAND) & bit) !== 0 && this.#power?.isInD0 !== false
  }

  #settle(): void {
    for (const capability of this.#capabilities) capability.settle?.()
  }

  #check(action: string, offset: number, byteLength: number): void {
    const end = offset + byteLength
    if (Number.isInteger(offset) && offset >= 0 && end <= this.byteLength) return
    throw new VfioError(
      'EINVAL',
      `Cannot ${action} configuration space: ${byteLength} bytes at ${offset} lie outside it, it has ${this.byteLength}`,
    )
  }

  #defineHeader(hasIo: boolean): void {
    const { vendor, device, subsystemVendor, subsystemDevice, classCode, revision, interrupts } = this.#pci
    const hasMemory = this.bars.some(({ kind }) => kind === 'memory')
    const command =
      (hasIo ? COMMAND_IO : 0) |
      (hasMemory ? COMMAND_MEMORY : 0) |
      COMMAND_MASTER |
      COMMAND_PARITY |
      COMMAND_SERR |
      (interrupts.intx === 0 ? 0 : COMMAND_INTX_DISABLE)
    const registers = this.#registers
    registers.define(0x00, 2, vendor)
    registers.define(0x02, 2, device)
    registers.define(COMMAND, 2, 0, command)
    registers.define(STATUS, 2, this.#capabilities.length === 0 ? 0 : STATUS_CAPABILITIES)
    registers.define(0x08, 4, revision | (classCode << 8))
    // Cache line size: stored for whoever looks, without effect.
    registers.define(0x0c, 1, 0, 0xff)
    registers.define(0x2c, 2, subsystemVendor ?? vendor)
    registers.define(0x2e, 2, subsystemDevice ?? device)
    registers.define(0x3c, 1, 0, 0xff)
    // INTA.
    registers.define(0x3d, 1, interrupts.intx)
  }

  /** All ones written read back as the size: the bits below it cannot be written. */
  #defineBar({ index, kind, byteLength, bits = 32, prefetchable = false }: PciBar): void {
    const at = FIRST_BAR + index * 4
    const address = ~(BigInt(byteLength) - 1n)
    const low = Number(BigInt.asUintN(32, address))
    const flags =
      kind === 'io' ? BAR_IO : (bits === 64 ? BAR_64_BIT : 0) | (prefetchable ? BAR_PREFETCHABLE : 0)
    this.#registers.define(at, 4, flags, low)
    if (bits === 64) this.#registers.define(at + 4, 4, 0, Number(BigInt.asUintN(32, address >> 32n)))
  }

  #defineCapabilities(): void {
    let link = CAPABILITIES
    let at = FIRST_CAPABILITY
    for (const capability of this.#capabilities) {
      this.#registers.define(link, 1, at)
      this.#registers.define(at, 1, capability.id)
      capability.define(this.#registers, at)
      link = at + 1
      at += capability.byteLength
    }
  }
}

/** The lowest BAR that no other one takes; the check has seen that there is one. */
function freeBar(bars: readonly PciBar[]): number {
  const taken = new Set(bars.flatMap(({ index, bits }) => (bits === 64 ? [index, index + 1] : [index])))
  return [0, 1, 2, 3, 4, 5].find((index) => !taken.has(index)) as number
}
