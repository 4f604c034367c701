/**
 * The source process of the demo: a device that works, and is sent away.
 *
 * @module
 */

import type { BulkDriver } from '../../devices/index.ts'
import { migrate } from '../../migrate/index.ts'
import { connect } from '../../node/index.ts'
import { DeviceState } from '../../uapi/state.ts'
import { openBulk } from '../open-device.ts'
import type { DemoFact, SendOrder } from './messages.ts'
import { traceStates } from './trace-states.ts'

/** Pre-copy for longer than that is not worth watching; the device is stopped then, whatever it costs. */
const PATIENCE_MS = 10_000
/** Time in which the device works at home. */
const AT_HOME_MS = 250
/** The last page is the host's: for the nonce. */
export const RESERVED_BYTES = 4096 as const

/** Works, and migrates to the URL. */
export async function sendDevice(order: SendOrder, tell: (fact: DemoFact) => void): Promise<void> {
  const { memoryBytes, pagesPerSecond, downtimeLimitMs, secrets } = order
  const workload = { pagesPerSecond, seed: secrets.workloadSeed }
  const options = { seed: secrets.seed, workload, reservedBytes: RESERVED_BYTES }
  const opened = await openBulk(memoryBytes, options)
  const { device } = opened
  const bulk = traceStates(opened, tell, (target) => {
    // The last moment before the device is stopped, where no pass has ended.
    if (target === DeviceState.STOP_COPY) writer.write()
  })
  const writer = new NonceWriter(bulk, secrets.nonce, tell)
  tell({ type: 'state', state: 'RUNNING', sequence: bulk.sequence })
  await new Promise((resolve) => setTimeout(resolve, AT_HOME_MS))
  const report = await migrate(device, await connect(order.url), {
    downtimeLimitMs,
    timeoutMs: PATIENCE_MS,
    onProgress: (progress) => tell({ type: 'progress', progress }),
    onEvent: (event) => {
      // In PRE_COPY still, and the page was sent as it was: it must be sent again.
      if (event.type === 'iteration') writer.write()
      tell({ type: 'event', event })
    },
  })
  tell({ type: 'sent', sequence: bulk.sequence, report })
}

/** Writes the nonce, once. */
class NonceWriter {
  readonly #bulk: BulkDriver
  readonly #nonce: Uint8Array
  readonly #tell: (fact: DemoFact) => void
  #isWritten = false

  constructor(bulk: BulkDriver, nonce: Uint8Array, tell: (fact: DemoFact) => void) {
    this.#bulk = bulk
    this.#nonce = nonce
    this.#tell = tell
  }

  write(): void {
    if (this.#isWritten) return
    this.#isWritten = true
    const { memory, sequence } = this.#bulk
    const offset = noncePlace(memory.byteLength)
    memory.write(offset, this.#nonce)
    this.#tell({ type: 'nonce', state: 'PRE_COPY', sequence, offset })
  }
}

/** Where the nonce is: the start of the page that the workload leaves alone. */
export function noncePlace(memoryBytes: number): number {
  return memoryBytes - RESERVED_BYTES
}
