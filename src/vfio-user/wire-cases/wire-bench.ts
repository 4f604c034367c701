/**
 * The connections of the cases, and the device behind them: asked, and brought from state to state.
 *
 * Few connections are made, one at a time, since there are servers that end with theirs. And the device is
 * moved on ways that no known device dies of: a stream that was begun is read or written to its end before the
 * state is left.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import type { ByteDuplex } from '../../transport/index.ts'
import { MigrationFlag } from '../../uapi/state.ts'
import { VfioUserCommand } from '../command.ts'
import { DEFAULT_MAX_DATA_BYTES, decodeVersion, encodeVersion, type VersionMessage } from '../version.ts'
import { answerText } from './answer.ts'
import { DeviceWalk } from './device-walk.ts'
import { CONFIG_REGION } from './messages.ts'
import { RawPeer } from './raw-peer.ts'
import { type ServerFacts, surveyServer } from './server-facts.ts'
import { Trial } from './trial.ts'
import { NotApplicable, type WireNeed } from './wire-case.ts'

/** Options of {@link WireBench}. */
export interface WireBenchOptions {
  /** Opens a connection. It fails when the server is gone. */
  readonly connect: () => Promise<ByteDuplex>
  /** How long an answer is waited for, in milliseconds; default 5000. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 5000
const RECONNECT_MS = 2000
const RETRY_MS = 50

/** What the main connection asks for. */
const HELLO: VersionMessage = {
  major: 0,
  minor: 1,
  capabilities: { max_msg_fds: 1, max_data_xfer_size: DEFAULT_MAX_DATA_BYTES, stopcopy: {} },
}

/** One server under test. */
export class WireBench {
  readonly #options: WireBenchOptions
  readonly #timeoutMs: number
  #main: { readonly peer: RawPeer; readonly version: VersionMessage } | undefined
  #fresh: RawPeer | undefined
  #facts: ServerFacts | undefined
  #walk: DeviceWalk | undefined
  #wasConnected = false
  #survives = false
  /** Why there is no connection. */
  #parted = ''
  #isGone = false
  #wasGone = false

  constructor(options: WireBenchOptions) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
  }

  /** Whether a case found the server gone. */
  get wasGone(): boolean {
    return this.#wasGone
  }

  /** What the server says of itself; it is asked once. */
  async facts(): Promise<ServerFacts> {
    if (this.#facts !== undefined) return this.#facts
    const { peer, version } = await this.#connected()
    this.#facts = await surveyServer(peer, version)
    return this.#facts
  }

  /** @throws {@link NotApplicable} when the server lacks one of `needs` */
  async require(needs: readonly WireNeed[]): Promise<void> {
    if (needs.length === 0) return
    const facts = await this.facts()
    for (const need of needs) if (!meets(facts, need)) throw new NotApplicable(LACKING[need])
  }

  /**
   * Brings the device to a state.
   *
   * @throws {@link NotApplicable} when it does not get there
   */
  async reach(state: number): Promise<void> {
    const walk = await this.#walker()
    await walk.reach(state)
  }

  /** A whole stream of the device, which was saved before RESUMING was entered. */
  async savedStream(): Promise<Uint8Array> {
    const walk = await this.#walker()
    return walk.donorStream()
  }

  /** Begins a case on the main connection. */
  async begin(): Promise<Trial> {
    const facts = await this.facts()
    const { peer } = await this.#connected()
    return new Trial(peer, facts, this)
  }

  /** Begins a case on a connection where nothing was said yet, the only one. */
  async beginFresh(): Promise<Trial> {
    const facts = await this.facts()
    await this.#leave()
    // A server that ends with its client may still take a last connection on its way out.
    if (!this.#survives) {
      await this.#connected()
      await this.#leave()
    }
    this.#survives = true
    this.#fresh = await this.#open(async (peer) => peer)
    return new Trial(this.#fresh, facts, this)
  }

  /** Ends a case. */
  async end(name: string): Promise<void> {
    await this.#fresh?.close()
    this.#fresh = undefined
    if (this.#main?.peer.isClosed === true) this.#parted = `after the case "${name}"`
  }

  /** Gives the connection up. */
  async close(): Promise<void> {
    await this.#leave()
    await this.#fresh?.close()
  }

  async #walker(): Promise<DeviceWalk> {
    const { migrationFlags } = await this.facts()
    const { peer } = await this.#connected()
    const hasPrecopy = ((migrationFlags ?? 0) & MigrationFlag.PRE_COPY) !== 0
    if (this.#walk?.peer !== peer) this.#walk = new DeviceWalk(peer, hasPrecopy, this.#walk?.stream)
    return this.#walk
  }

  async #connected(): Promise<{ peer: RawPeer; version: VersionMessage }> {
    if (this.#main !== undefined && !this.#main.peer.isClosed) return this.#main
    await this.#leave()
    this.#main = await this.#open(async (peer) => ({ peer, version: await negotiate(peer) }))
    return this.#main
  }

  async #leave(): Promise<void> {
    if (this.#main?.peer.isClosed === false) this.#parted = 'when its client left'
    await this.#main?.peer.close()
    this.#main = undefined
  }

  /** Connects; a server that was there may need a moment for its next client. */
  async #open<T>(use: (peer: RawPeer) => Promise<T>): Promise<T> {
    const endMs = performance.now() + (this.#isGone ? 0 : RECONNECT_MS)
    for (;;) {
      try {
        const used = await use(new RawPeer(await this.#options.connect(), this.#timeoutMs))
        this.#wasConnected = true
        this.#isGone = false
        return used
      } catch (error) {
        if (!this.#wasConnected) throw error
        if (performance.now() >= endMs) {
          this.#isGone = true
          this.#wasGone = true
          throw new NotApplicable(`the server went away ${this.#parted}`, { cause: error })
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }
}

async function negotiate(peer: RawPeer): Promise<VersionMessage> {
  const answer = await peer.call({ command: VfioUserCommand.VERSION, payload: encodeVersion(HELLO) })
  if (answer.kind === 'reply') return decodeVersion(answer.payload)
  await peer.close()
  throw new VfioError(
    'EPROTO',
    `Cannot check the server: VERSION 0.1 was answered with ${answerText(answer)}`,
    {
      syscall: 'vfio-user',
    },
  )
}

const LACKING: Readonly<Record<WireNeed, string>> = {
  migration: 'the device has no migration feature',
  'pre-copy': 'the device has no PRE_COPY',
  logging: 'the device has no DMA logging',
  dma: 'the device keeps no DMA regions: it unmaps one that was never mapped',
  reset: 'the device cannot be reset',
  config: 'the device has no PCI configuration space',
}

function meets(facts: ServerFacts, need: WireNeed): boolean {
  switch (need) {
    case 'migration':
      return facts.migrationFlags !== undefined
    case 'pre-copy':
      return ((facts.migrationFlags ?? 0) & MigrationFlag.PRE_COPY) !== 0
    case 'logging':
      return facts.hasLogging
    case 'dma':
      return facts.hasDma
    case 'reset':
      return facts.canReset
    default:
      return facts.isPci && (facts.regions[CONFIG_REGION]?.size ?? 0n) >= 64n
  }
}
