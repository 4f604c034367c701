/**
 * The client: a device behind a vfio-user server, as everything in this package sees devices.
 *
 * @module
 */

import type { DeviceIdentity, DmaRange } from '../device/driver.ts'
import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import type { ByteDuplex } from '../transport/index.ts'
import { checkDmaLoggingReport, checkDmaLoggingStart, dmaBitmapByteLength } from '../uapi/dma-logging.ts'
import { DeviceFeature, VFIO_DEVICE_FEATURE_SET } from '../uapi/features.ts'
import type { DeviceState } from '../uapi/state.ts'
import { userBytes } from '../uapi/user-memory.ts'
import type { VfioUserClientOptions } from './client-options.ts'
import type { IrqSetup, RemoteRegion } from './device-calls.ts'
import type { DmaMapping, DmaUnmapping } from './dma-mappings.ts'
import { greet, type Greeting, type VfioUserServerInfo } from './greeting.ts'
import type { RemoteSession } from './remote-session.ts'
import { RemoteState } from './remote-state.ts'
import type { IrqInfo } from './structs.ts'

/**
 * A device at the other end of a connection: `save`, `restore`, `migrate` and the conformance suite take it as they
 * take a device of their own.
 *
 * The device's memory and interrupts are set up before it is stopped or once it runs: servers refuse that between.
 * When the server vanishes, every call under way and every later one is ECONNRESET.
 *
 * @example
 * ```ts
 * import { save } from 'stopcopy'
 * import { connect, fileSink } from 'stopcopy/node'
 * import { VfioUserClient } from 'stopcopy/vfio-user'
 * const device = await VfioUserClient.connect(await connect('unix:/run/device.sock'))
 * await save(device, fileSink('device.stopcopy'))
 * await device.close()
 * ```
 */
export class VfioUserClient implements MigrationDevice {
  readonly identity: DeviceIdentity
  /** What the server said about itself and its device when the connection was made. */
  readonly server: VfioUserServerInfo
  readonly #greeting: Greeting
  readonly #state: RemoteState
  #closing = false
  #canLog: boolean | undefined
  #hasLength = true
  #isLogging = false

  private constructor(greeting: Greeting, state: RemoteState) {
    this.#greeting = greeting
    this.#state = state
    this.identity = greeting.identity
    this.server = greeting.server
  }

  /**
   * Agrees on a version and asks the server what its device is.
   *
   * The client owns the connection from here on; when this fails, it is given up.
   *
   * @throws {@link VfioError} EINVAL the server refuses the version, or shows no ids and `identity` has no type;
   * EBUSY its device is stopped and the server says nothing about it then; EPROTO it answers nonsense; ETIMEDOUT;
   * ECONNRESET; ECANCELED by the signal
   */
  static async connect(duplex: ByteDuplex, options: VfioUserClientOptions = {}): Promise<VfioUserClient> {
    let state: RemoteState | undefined
    const greeting = await greet(duplex, options, (error) => state?.lost(error))
    const { requests, features, calls, sizes, server } = greeting
    state = new RemoteState(requests, features, calls, sizes, server.state)
    return new VfioUserClient(greeting, state)
  }

  /** Capability flags, 5 of a libvfio-user server. @throws {@link VfioError} ENOTTY it cannot migrate */
  async migrationFlags(): Promise<number> {
    this.#checkOpen('ioctl')
    const { failure } = this.#greeting.requests
    if (failure !== undefined) throw failure
    return this.#flags('ask for the migration flags')
  }

  /** The state now, as the server says. @throws {@link VfioError} ENOTTY it cannot migrate; EPROTO no state */
  async state(): Promise<DeviceState> {
    this.#checkOpen('ioctl')
    this.#flags('ask for the state')
    return this.#state.state()
  }

  /**
   * Walks to `target`. MIG_DATA_READs and MIG_DATA_WRITEs under way are waited for, gathered bytes are sent.
   *
   * @param options - `signal`: EINTR when it is aborted before the command is sent; a walk that the server began
   * goes to its end
   * @throws {@link VfioError} whose `state` says where the device is: the server's errno; EBUSY leaving RESUMING
   * with a window out; the failure of a write, or EINVAL when it was told before; ENOTTY it cannot migrate
   */
  async setState(
    target: DeviceState,
    options: { signal?: AbortSignal } = {},
  ): Promise<RemoteSession | undefined> {
    this.#checkOpen('setState')
    this.#flags('change the state')
    return this.#state.setState(target, options.signal)
  }

  /**
   * Back to RUNNING with power-on content. A server that keeps the migration state over a reset has a source's
   * set RUNNING; a device that may hold what was loaded into it never is: then the connection is given up.
   *
   * @throws {@link VfioError} EIO the device cannot be reset, restart its server; the server's errno
   */
  async reset(): Promise<void> {
    this.#checkOpen('reset')
    await this.#state.reset()
  }

  /** Ends the session and the connection. The server decides what becomes of the device. */
  async close(): Promise<void> {
    this.#checkOpen('close')
    this.#closing = true
    await this.#state.locked(async () => {
      this.#state.close()
      const { requests } = this.#greeting
      await requests.close(
        new VfioError('ECANCELED', 'Cannot use the server: this client was closed, connect again'),
      )
    })
  }

  /** Bytes that STOP_COPY would deliver. @throws {@link VfioError} ENOTTY: only servers of this package say it */
  async stopCopyLength(): Promise<number> {
    this.#checkOpen('ioctl')
    this.#flags('ask for the stop-copy length')
    if (!this.#hasLength) throw absent('ask for the stop-copy length', 'the server does not tell it')
    try {
      return await this.#greeting.features.stopCopyLength()
    } catch (error) {
      if (!VfioError.is(error, 'EINVAL')) throw error
      this.#hasLength = false
      throw absent('ask for the stop-copy length', 'the server does not tell it', error)
    }
  }

  /**
   * Starts logging DMA writes. Only where memory was mapped by this client, the server is this package's, or
   * `dmaLogging` says that it is safe: a libvfio-user server whose device has no DMA dies of it.
   *
   * @returns the page size in use, bytes
   * @throws {@link VfioError} ENOTTY no logging, or not known to be safe; EINVAL, E2BIG, EOVERFLOW; the server's
   */
  async dmaLoggingStart(options: { pageSize: number; ranges: readonly DmaRange[] }): Promise<number> {
    await this.#checkLogging('start DMA logging')
    const start = { pageSize: wholeNumber(options.pageSize), ranges: options.ranges }
    checkDmaLoggingStart(start)
    // To libvfio-user a second START is none; to who uses this device it is one too many, as in the kernel.
    if (this.#isLogging) throw new VfioError('EINVAL', 'Cannot start DMA logging: it is on, stop it first')
    const pageSize = await this.#greeting.features.startLogging(start.pageSize, start.ranges)
    this.#isLogging = true
    return Number(pageSize)
  }

  /**
   * ORs the pages written since the last report into `bitmap`.
   *
   * @throws {@link VfioError} ENOTTY as {@link dmaLoggingStart}; EINVAL, EOVERFLOW; EFAULT a bitmap too short; the
   * server's: of libvfio-user EINVAL for memory without a descriptor, ENOTSUP for more or less than one region
   */
  async dmaLoggingReport(
    range: { iova: bigint; length: bigint; pageSize: number },
    bitmap: Uint8Array,
  ): Promise<void> {
    await this.#checkLogging('report dirty pages')
    const { iova, length } = range
    const pageSize = wholeNumber(range.pageSize)
    checkDmaLoggingReport({ iova, length, pageSize })
    const dst = userBytes(bitmap, 0, dmaBitmapByteLength(length, pageSize))
    await this.#greeting.features.reportDirty({ iova, length }, pageSize, dst)
  }

  /** Stops logging. @throws {@link VfioError} ENOTTY as {@link dmaLoggingStart} */
  async dmaLoggingStop(): Promise<void> {
    await this.#checkLogging('stop DMA logging')
    await this.#greeting.features.stopLogging()
    this.#isLogging = false
  }

  /** A region, with what of it can be mapped; a descriptor that came along is the caller's. */
  async regionInfo(index: number): Promise<RemoteRegion> {
    this.#checkOpen('ioctl')
    return this.#greeting.calls.regionInfo(index, true)
  }

  /** The entries, 48 bytes each, and descriptors of a region; EOPNOTSUPP where none can be received. */
  async regionIoFds(index: number): Promise<{ entries: Uint8Array; fds: readonly number[] }> {
    this.#checkOpen('ioctl')
    return this.#greeting.calls.regionIoFds(index)
  }

  /** How many interrupts of a kind there are: 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ. */
  async irqInfo(index: number): Promise<IrqInfo> {
    this.#checkOpen('ioctl')
    return this.#greeting.calls.irqInfo(index)
  }

  /** Sets up interrupts, in RUNNING or RESUMING. EOPNOTSUPP for descriptors where none can be sent. */
  async setIrqs(setup: IrqSetup): Promise<void> {
    this.#checkOpen('ioctl')
    await this.#greeting.calls.setIrqs(setup)
  }

  /** Fills `dst` from `offset` of a region: 0 to 5 BARs, 6 ROM, 7 configuration space, 8 VGA. */
  async readRegion(index: number, offset: number, dst: Uint8Array): Promise<void> {
    this.#checkOpen('read')
    await this.#greeting.calls.readRegion(index, offset, dst)
  }

  /** Stores `src` at `offset` of a region. */
  async writeRegion(index: number, offset: number, src: Uint8Array): Promise<void> {
    this.#checkOpen('write')
    await this.#greeting.calls.writeRegion(index, offset, src)
  }

  /**
   * Lets the device reach memory, in RUNNING or RESUMING. Without a descriptor the server asks for its bytes by
   * message, which the `dma` option answers; commands then go one at a time, since such a server takes the next
   * message for the answer to its own.
   */
  async dmaMap(mapping: DmaMapping): Promise<void> {
    this.#checkOpen('ioctl')
    await this.#greeting.mappings.map(mapping)
  }

  /** Takes memory away, a region as it was mapped. Resolves to the bitmap that was asked for. */
  async dmaUnmap(unmapping: DmaUnmapping): Promise<Uint8Array | undefined> {
    this.#checkOpen('ioctl')
    return this.#greeting.mappings.unmap(unmapping)
  }

  /** Takes all memory away. */
  async dmaUnmapAll(): Promise<void> {
    this.#checkOpen('ioctl')
    await this.#greeting.mappings.unmapAll()
  }

  #checkOpen(syscall: string): void {
    if (!this.#closing) return
    throw new VfioError('EBADF', `Cannot ${syscall}: the device is closed, connect again`, { syscall })
  }

  #flags(action: string): number {
    const { flags } = this.server
    if (flags !== undefined) return flags
    throw absent(action, 'the device has no migration feature')
  }

  async #checkLogging(action: string): Promise<void> {
    this.#checkOpen('ioctl')
    const { features, mappings, mayLog } = this.#greeting
    if (!mayLog && !mappings.wasMapped)
      throw absent(action, 'a server whose device has no DMA may die of it, map memory first')
    const { DMA_LOGGING_START } = DeviceFeature
    this.#canLog ??= await features.probe(DMA_LOGGING_START, VFIO_DEVICE_FEATURE_SET, new Uint8Array(16))
    if (!this.#canLog) throw absent(action, 'the device has no DMA logging')
  }
}

function absent(action: string, reason: string, cause?: unknown): VfioError {
  return new VfioError('ENOTTY', `Cannot ${action}: ${reason}, go on without`, { syscall: 'ioctl', cause })
}

function wholeNumber(pageSize: number): bigint {
  if (Number.isSafeInteger(pageSize)) return BigInt(pageSize)
  const reason = 'that is no whole number, pass a power of two'
  throw new VfioError('EINVAL', `Cannot log DMA by pages of ${pageSize} bytes: ${reason}`)
}
