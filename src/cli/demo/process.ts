/**
 * A child process of the demo: the source or the destination, as the parent's first order says.
 *
 * It ends when the parent is gone. Ctrl-C reaches every process of a terminal: the parent decides about it.
 *
 * @module
 */

import { failureOf } from '../failure.ts'
import { DemoDestination } from './destination.ts'
import type { DemoFact, DemoOrder } from './messages.ts'
import { sendDevice } from './source.ts'

process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit())

function tell(fact: DemoFact): void {
  process.send?.({ ...fact, atMs: performance.timeOrigin + performance.now() })
}

const destination = new DemoDestination(tell)

process.on('message', (order: DemoOrder) => {
  void follow(order).catch((error: unknown) => tell({ type: 'failed', failure: failureOf(error) }))
})

function follow(order: DemoOrder): Promise<void> {
  switch (order.type) {
    case 'send':
      return sendDevice(order, tell)
    case 'receive':
      return destination.listen(order)
    default:
      return destination.check(order)
  }
}

tell({ type: 'started', pid: process.pid })
