/**
 * The checks of `stopcopy conformance`: the wire's own cases, then the exported suite over a client.
 *
 * @module
 */

import type { MigrationDevice } from '../device/migration-device.ts'
import { VfioError } from '../errors.ts'
import { connect } from '../node/index.ts'
import { conformance, type ConformanceNeed, missingNeeds } from '../testing/index.ts'
import { DeviceState } from '../uapi/state.ts'
import {
  type ServerFacts,
  VfioUserClient,
  WireConformance,
  type WireFinding,
  type WireSafety,
} from '../vfio-user/index.ts'

/** One check, in its place. */
export interface Check {
  readonly name: string
  readonly rule: string
  readonly safety: WireSafety
  run(): Promise<WireFinding>
}

/** What is checked. */
export interface CheckedServer {
  /** Its socket, then those of more devices of the same kind. */
  readonly paths: readonly string[]
  /** How long an answer is waited for, in milliseconds. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** A server that serves one client at a time may need a moment to let the last one go. */
const RETRY_FOR_MS = 5000
const RETRY_MS = 50
/** What the suite logs, from address 0. */
const LOGGED_BYTES = 64n * 1024n

/** Asks the server who it is, and lists what there is to check. */
export class ConformanceChecks {
  readonly #server: CheckedServer
  readonly #wire: WireConformance
  readonly #needs = new Map<ConformanceNeed, boolean>()
  /** Whether devices have memory to log the writes to: a server reports what it was told of. */
  #mapsMemory = false
  /** Sockets that no device of the suite has now. */
  readonly #free: string[]
  /** Whether one was waited for in vain: a server that is gone is not waited for at each check that is left. */
  #isGone = false
  #wasGone = false

  constructor(server: CheckedServer) {
    this.#server = server
    this.#free = [...server.paths]
    const [path = ''] = server.paths
    this.#wire = new WireConformance({
      connect: () => connect(`unix:${path}`, { signal: server.signal }),
      timeoutMs: server.timeoutMs,
    })
  }

  /** What the server says. @throws {@link VfioError} when it cannot be asked */
  facts(): Promise<ServerFacts> {
    return this.#wire.facts()
  }

  /** All checks in their order. */
  async list(): Promise<Check[]> {
    const { isLibvfioUser } = await this.facts()
    const wire: readonly Check[] = this.#wire.cases
    const suite = conformance(() => this.#create()).map((test): Check => ({
      name: `suite: ${test.name}`,
      rule: test.rule,
      // It gives streams up half read, of which libvfio-user's sample server dies.
      safety: isLibvfioUser ? 'dangerous' : 'changes',
      run: () => this.#runSuite(test),
    }))
    // What known servers die of comes last, whoever it belongs to.
    const isDangerous = ({ safety }: Check): boolean => safety === 'dangerous'
    return [
      ...wire.filter((check) => !isDangerous(check)),
      ...suite.filter((check) => !isDangerous(check)),
      ...wire.filter(isDangerous),
      ...suite.filter(isDangerous),
    ]
  }

  /** Whether a check was left out because the server took no connection any more. */
  get wasGone(): boolean {
    return this.#wasGone || this.#wire.wasGone
  }

  /** Gives the connection up. */
  async close(): Promise<void> {
    await this.#wire.close()
  }

  async #runSuite(test: ReturnType<typeof conformance>[number]): Promise<WireFinding> {
    try {
      this.#mapsMemory = test.needs.includes('dma-logging') && (await this.#keepsMemory())
      // The suite makes its own connections, to the same device.
      await this.#wire.close()
      const missing = await this.#missing(test.needs)
      if (missing.length > 0)
        return {
          status: 'not applicable',
          reason: `it needs ${missing.map((need) => NEEDS[need]).join(' and ')}`,
        }
      await test.run()
      return { status: 'pass' }
    } catch (error) {
      const why = reasonIn(error)
      if (why !== undefined) return { status: 'not applicable', reason: why.message }
      return { status: 'fail', reason: error instanceof Error ? error.message : String(error) }
    }
  }

  async #keepsMemory(): Promise<boolean> {
    const { hasLogging, hasDma } = await this.facts()
    return hasLogging && hasDma
  }

  async #missing(needs: readonly ConformanceNeed[]): Promise<ConformanceNeed[]> {
    const unknown = needs.filter((need) => !this.#needs.has(need))
    if (unknown.length > 0) {
      const device = await this.#create()
      try {
        const missing = await missingNeeds({ needs: unknown }, device)
        for (const need of unknown) this.#needs.set(need, !missing.includes(need))
      } finally {
        await device.close()
      }
    }
    return needs.filter((need) => this.#needs.get(need) === false)
  }

  /** A device in RUNNING behind a socket that is free. */
  async #create(): Promise<MigrationDevice> {
    const path = this.#free.shift()
    if (path === undefined) {
      const more = this.#server.paths.length + 1
      throw new Missing(`it needs ${more} devices at once, name a --socket for each`)
    }
    try {
      const device = await this.#connect(path)
      const close = device.close.bind(device)
      // Whoever closes it gives its socket back.
      device.close = async () => {
        device.close = close
        this.#free.push(path)
        await close()
      }
      return device
    } catch (error) {
      this.#free.push(path)
      throw error
    }
  }

  async #connect(path: string): Promise<VfioUserClient> {
    const { signal, timeoutMs } = this.#server
    const endMs = performance.now() + (this.#isGone ? 0 : RETRY_FOR_MS)
    for (;;) {
      signal.throwIfAborted()
      try {
        const connection = await connect(`unix:${path}`, { signal })
        const device = await VfioUserClient.connect(connection, { signal, requestTimeoutMs: timeoutMs })
        if (device.server.flags !== undefined && (await device.state()) !== DeviceState.RUNNING)
          await device.reset()
        if (this.#mapsMemory) await device.dmaMap({ address: 0n, size: LOGGED_BYTES })
        this.#isGone = false
        return device
      } catch (error) {
        if (!VfioError.is(error)) throw error
        if (performance.now() >= endMs) {
          this.#isGone = true
          this.#wasGone = true
          throw new Missing(`the server takes no connection: ${error.message}`)
        }
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }
}

/** Something that a check needs and that is not there. */
class Missing extends Error {
  override readonly name = 'Missing'
}

/** A {@link Missing} that an error comes from. */
function reasonIn(error: unknown): Missing | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (at instanceof Missing) return at
  return undefined
}

/** What a check needs, in words. */
export const NEEDS: Readonly<Record<ConformanceNeed, string>> = {
  'pre-copy': 'a device with PRE_COPY',
  p2p: 'a device with P2P',
  regions: 'registers, which the suite takes from devices in this process',
  ioctl: 'ioctl bytes, which only devices in this process have',
  'dma-logging': 'DMA logging',
  'checked-stream': 'a stream with checksums, of a device of stopcopy',
  driver: 'a driver to inject failure into, which only devices in this process have',
}
