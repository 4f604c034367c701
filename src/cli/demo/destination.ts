/**
 * The destination process of the demo: takes the device, lets it run on, and looks at every byte of it.
 *
 * @module
 */

import { type BulkDriver, verifyBulkWorkload } from '../../devices/index.ts'
import { VfioError } from '../../errors.ts'
import { type Hello, Receiver, type ReceiveReport } from '../../migrate/index.ts'
import { listen } from '../../node/index.ts'
import { DeviceState } from '../../uapi/state.ts'
import { failureOf } from '../failure.ts'
import { type OpenedDevice, openFitting } from '../open-device.ts'
import { type CheckOrder, type DemoFact, NONCE_BYTES, type ReceiveOrder } from './messages.ts'
import { noncePlace, RESERVED_BYTES } from './source.ts'
import { traceStates } from './trace-states.ts'

/** Knows nothing of the device but what the source sends. */
export class DemoDestination {
  readonly #tell: (fact: DemoFact) => void
  #opened: OpenedDevice | undefined

  constructor(tell: (fact: DemoFact) => void) {
    this.#tell = tell
  }

  async listen({ url }: ReceiveOrder): Promise<void> {
    const receiver = new Receiver((offer) => this.#open(offer), {
      // Called between the load and READY: nothing runs.
      onTicket: (ticket) => {
        if (ticket?.phase === 'ready') this.#tell({ type: 'loaded', sequence: this.#bulk.sequence })
      },
    })
    const listener = await listen(url, (connection) => {
      void this.#take(receiver.accept(connection))
    })
    this.#tell({ type: 'listening', url: listener.url })
  }

  async #take(receiving: Promise<ReceiveReport | undefined>): Promise<void> {
    try {
      const report = await receiving
      if (report !== undefined) this.#tell({ type: 'received', report })
    } catch (error) {
      this.#tell({ type: 'failed', failure: failureOf(error) })
    }
  }

  async check({ seed, workloadSeed }: CheckOrder): Promise<void> {
    const { memory, sequence } = await this.#stopped()
    const offset = noncePlace(memory.byteLength)
    const nonce = new Uint8Array(NONCE_BYTES)
    memory.read(offset, nonce)
    const verdict = await verifyBulkWorkload(memory, {
      seed,
      workload: { seed: workloadSeed },
      sequence,
      reservedBytes: RESERVED_BYTES,
      except: [{ offset, byteLength: NONCE_BYTES }],
    })
    const { matches } = verdict
    this.#tell({
      type: 'checked',
      sequence,
      matches,
      nonce,
      ...(verdict.matches ? {} : { offset: verdict.offset }),
    })
  }

  async #stopped(): Promise<BulkDriver> {
    await this.#opened?.device.setState(DeviceState.STOP)
    return this.#bulk
  }

  get #bulk(): BulkDriver {
    const bulk = this.#opened?.bulk
    if (bulk !== undefined) return bulk
    throw new VfioError('EINVAL', 'Cannot look at the device: none has come')
  }

  async #open({ streams }: Hello): Promise<OpenedDevice['device'][]> {
    const { type, configuration = {} } = streams[0]?.identity ?? { type: '' }
    this.#opened = await openFitting(undefined, { type, configuration, action: 'receive' }, Infinity)
    traceStates(this.#opened, this.#tell)
    return [this.#opened.device]
  }
}
