/**
 * The beginning of a connection: versions, limits, and all that a client asks a server before it is of use.
 *
 * @module
 */

import type { DeviceIdentity } from '../device/driver.ts'
import { VfioError } from '../errors.ts'
import { type ByteDuplex, canceled, settle } from '../transport/index.ts'
import { type DeviceState, deviceStateName } from '../uapi/state.ts'
import type { VfioUserClientOptions } from './client-options.ts'
import { VfioUserCommand } from './command.ts'
import { DeviceCalls, type RemoteRegion } from './device-calls.ts'
import { answerServer } from './dma-answers.ts'
import { DmaMappings } from './dma-mappings.ts'
import { FeatureCalls } from './feature-calls.ts'
import {
  decodeIdentity,
  mergeIdentity,
  opaqueIdentity,
  PCI_HEADER_BYTES,
  pciIdentity,
  regionSizes,
} from './identity.ts'
import type { SessionSizes } from './remote-state.ts'
import { broken } from './reply-error.ts'
import { messageOf, Requests } from './requests.ts'
import type { DeviceInfo, IrqInfo } from './structs.ts'
import { type Capabilities, DEFAULT_MAX_DATA_BYTES, DEFAULT_MAX_FDS } from './version.ts'
import { decodeVersion, encodeVersion, PROTOCOL_VERSION } from './version.ts'

/** Most bytes of MIG_DATA_WRITE that every libvfio-user server takes. */
const SAFE_WRITE_BYTES = 32 * 1024
const DEFAULT_OUTSTANDING = 4
const DEFAULT_TIMEOUT_MS = 10_000
/** Descriptors that we take in one message where the connection carries them. */
const MAX_FDS = 16
/** A reply to VERSION is short; longer ones are not believed. */
const MOST_VERSION_BYTES = 64 * 1024
/** Bytes of a message besides its data: header, the longest head and a little. */
const AROUND_DATA = 128
/** Regions and interrupts that are asked for: PCI has 9 and 5. */
const MOST_REGIONS = 64
const MOST_IRQS = 64
const CONFIG_REGION = 7
const REGION_READABLE = 1

/** What a server said of itself and its device. */
export interface VfioUserServerInfo {
  /** What both sides speak. */
  readonly version: { readonly major: number; readonly minor: number }
  /** As the server said them. */
  readonly capabilities: Capabilities
  /** Whether it is a server of this package. */
  readonly isStopcopy: boolean
  /** Most bytes of data in one message: the smaller of both sides' limits. */
  readonly maxDataBytes: number
  /** Absent where the server says nothing while its device is stopped; then there are no regions and interrupts. */
  readonly info?: DeviceInfo
  /** By index, without what can be mapped: see `VfioUserClient.regionInfo`. */
  readonly regions: readonly RemoteRegion[]
  /** By index. */
  readonly irqs: readonly IrqInfo[]
  /** Migration capability flags; absent where it cannot migrate. */
  readonly flags?: number
  /** The state when the connection was made; absent where it cannot migrate. */
  readonly state?: DeviceState
}

/** A connection that is ready for use. */
export interface Greeting {
  readonly requests: Requests
  readonly features: FeatureCalls
  readonly calls: DeviceCalls
  readonly mappings: DmaMappings
  readonly sizes: SessionSizes
  readonly server: VfioUserServerInfo
  readonly identity: DeviceIdentity
  /** Whether DMA logging commands do no harm. */
  readonly mayLog: boolean
}

/** Greets a server; gives the connection up when it fails. `onLost` is told when the connection is gone. */
export async function greet(
  duplex: ByteDuplex,
  options: VfioUserClientOptions,
  onLost: (error: VfioError) => void,
): Promise<Greeting> {
  const { signal } = options
  const maxDataBytes = size('maxDataBytes', options.maxDataBytes ?? DEFAULT_MAX_DATA_BYTES)
  if (signal?.aborted === true) {
    const reason = canceled('connect to the server', signal)
    await settle(() => duplex.cancel(reason))
    throw reason
  }
  const requests: Requests = new Requests(duplex, {
    maxBytes: Math.max(maxDataBytes, MOST_VERSION_BYTES) + AROUND_DATA,
    timeoutMs: size('requestTimeoutMs', options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS),
    onCommand: async (message) => requests.answer(await answerServer(message, options.dma, maxDataBytes)),
    onLost,
  })
  const cancel = (): void => requests.giveUp(canceled('connect to the server', signal as AbortSignal))
  signal?.addEventListener('abort', cancel)
  try {
    return await new Greeter(requests, options, maxDataBytes).greet()
  } catch (error) {
    requests.giveUp(VfioError.is(error) ? error : new VfioError('EIO', 'Cannot connect', { cause: error }))
    throw error
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

/** One beginning. */
class Greeter {
  readonly #requests: Requests
  readonly #options: VfioUserClientOptions
  readonly #maxDataBytes: number

  constructor(requests: Requests, options: VfioUserClientOptions, maxDataBytes: number) {
    this.#requests = requests
    this.#options = options
    this.#maxDataBytes = maxDataBytes
  }

  async greet(): Promise<Greeting> {
    const requests = this.#requests
    const { dma, dmaLogging } = this.#options
    const { capabilities, ...version } = await this.#agree()
    const maxDataBytes = Math.min(
      this.#maxDataBytes,
      capabilities.max_data_xfer_size ?? DEFAULT_MAX_DATA_BYTES,
    )
    if (maxDataBytes === 0) throw broken('a max_data_xfer_size of 0')
    const isStopcopy = capabilities.stopcopy !== undefined
    const calls = new DeviceCalls(requests, maxDataBytes)
    const features = new FeatureCalls(requests, maxDataBytes)
    const migration = await this.#migration(features)
    const device = await this.#describe(calls)
    const server = { version, capabilities, isStopcopy, maxDataBytes, ...device, ...migration }
    return {
      requests,
      calls,
      features,
      mappings: new DmaMappings(requests, maxDataBytes, dma !== undefined),
      sizes: this.#sizes(maxDataBytes, isStopcopy),
      server,
      identity: await this.#identify(server, calls),
      mayLog: dmaLogging ?? isStopcopy,
    }
  }

  async #agree(): Promise<ReturnType<typeof decodeVersion>> {
    const { major, minor } = PROTOCOL_VERSION
    const capabilities = {
      max_msg_fds: this.#requests.passesFds ? MAX_FDS : DEFAULT_MAX_FDS,
      max_data_xfer_size: this.#maxDataBytes,
      stopcopy: {},
    }
    const message = messageOf(encodeVersion({ major, minor, capabilities }))
    const options = { action: 'agree on a version', replyBytes: [4, MOST_VERSION_BYTES] } as const
    const { payload } = await this.#requests.call(VfioUserCommand.VERSION, message, options)
    const said = decodeVersion(payload)
    if (said.major === major && said.minor <= minor) return said
    throw broken(`version ${said.major}.${said.minor} in reply to ${major}.${minor}`)
  }

  /** There is no capability for it: the feature itself is asked. */
  async #migration(features: FeatureCalls): Promise<{ flags?: number; state?: DeviceState }> {
    const flags = await this.#optional(() => features.flags())
    return flags === undefined ? {} : { flags, state: await features.state() }
  }

  /** In STOP and STOP_COPY libvfio-user answers none of this. */
  async #describe(calls: DeviceCalls): Promise<Pick<VfioUserServerInfo, 'info' | 'regions' | 'irqs'>> {
    const info = await this.#optional(() => calls.info())
    if (info === undefined) return { regions: [], irqs: [] }
    const { numRegions, numIrqs } = info
    if (numRegions > MOST_REGIONS || numIrqs > MOST_IRQS)
      throw broken(`a device of ${numRegions} regions and ${numIrqs} interrupts`)
    const regions: RemoteRegion[] = []
    for (let index = 0; index < numRegions; index++) regions.push(await calls.regionInfo(index, false))
    const irqs: IrqInfo[] = []
    for (let index = 0; index < numIrqs; index++) irqs.push(await calls.irqInfo(index))
    return { info, regions, irqs }
  }

  async #identify(server: VfioUserServerInfo, calls: DeviceCalls): Promise<DeviceIdentity> {
    const { identity: given = {} } = this.#options
    const { stopcopy } = server.capabilities
    if (stopcopy !== undefined) return mergeIdentity(decodeIdentity(stopcopy), given)
    const { type, fingerprint, configuration } = given
    if (server.info === undefined && (type === undefined || (fingerprint ?? configuration) === undefined)) {
      const name = server.state === undefined ? 'silent' : `in ${deviceStateName(server.state)}`
      const reason = `it is ${name} and its server does not say what it is`
      throw new VfioError('EBUSY', `Cannot use the device: ${reason}, let it run first or pass its identity`)
    }
    const sizes = server.regions.map(({ size: bytes }) => bytes)
    if (type !== undefined) return mergeIdentity(opaqueIdentity(type, regionSizes(sizes)), given)
    const config = server.regions[CONFIG_REGION]
    if (config === undefined || config.size < PCI_HEADER_BYTES || (config.flags & REGION_READABLE) === 0)
      throw new VfioError('EINVAL', 'Cannot use the device: it shows no ids, pass the type of its identity')
    const header = new Uint8Array(PCI_HEADER_BYTES)
    await calls.readRegion(CONFIG_REGION, 0, header)
    return mergeIdentity(pciIdentity(header, sizes), given)
  }

  #sizes(maxDataBytes: number, isStopcopy: boolean): SessionSizes {
    const { readBytes = DEFAULT_MAX_DATA_BYTES, outstanding = DEFAULT_OUTSTANDING } = this.#options
    const { writeBytes = isStopcopy ? maxDataBytes : SAFE_WRITE_BYTES } = this.#options
    return {
      readBytes: Math.min(size('readBytes', readBytes), maxDataBytes),
      writeBytes: Math.min(size('writeBytes', writeBytes), maxDataBytes),
      outstanding: size('outstanding', outstanding),
    }
  }

  /** The answer, or undefined when the server refuses the question. */
  async #optional<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call()
    } catch (error) {
      if (VfioError.is(error, 'EPROTO') || this.#requests.failure !== undefined) throw error
      return undefined
    }
  }
}

function size(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= 0x7fff_ff00) return value
  throw new VfioError(
    'EINVAL',
    `Cannot connect to the server: ${name} is ${value}, use a whole number from 1`,
  )
}
