/**
 * The destination of a migration.
 *
 * @module
 */

import { VfioError } from '../../errors.ts'
import { type DuplexLike, settle } from '../../transport/index.ts'
import { Receiver, type ReceiveTarget } from './receiver.ts'
import type { ReceiveOptions } from './receive-options.ts'
import type { ReceiveReport } from './receive-report.ts'

/**
 * Receives one migration over the connections of one source, the first of which carries the hand-over.
 *
 * The devices are stopped while they receive. They start only after the source committed; whatever fails
 * before leaves them in STOP with power-on content (they were reset), and the source runs on.
 *
 * @throws {@link VfioError} EINVAL, EOPNOTSUPP, EBUSY the offer was refused, nothing was changed; EPIPE,
 * ETIMEDOUT, EPROTO, EBADMSG the link; ECANCELED canceled, by either side; else what the devices threw
 * @example
 * ```ts
 * import { memoryPair, migrate, receive, VfioDevice } from 'stopcopy'
 * import { createBulk } from 'stopcopy/devices'
 * const source = await VfioDevice.open(createBulk({ memoryBytes: 2 ** 20, workload: { pagesPerSecond: 500 } }))
 * const destination = await VfioDevice.open(createBulk({ memoryBytes: 2 ** 20 }))
 * const [here, there] = memoryPair()
 * const [report] = await Promise.all([migrate(source, here), receive(destination, there)])
 * console.log(report.owner, report.downtimeMs)
 * ```
 */
export async function receive(
  target: ReceiveTarget,
  connections: DuplexLike | readonly DuplexLike[],
  options: ReceiveOptions = {},
): Promise<ReceiveReport> {
  const [first, ...more] = Array.isArray(connections)
    ? (connections as readonly DuplexLike[])
    : [connections as DuplexLike]
  if (first === undefined)
    throw new VfioError('EINVAL', 'Cannot receive: there is no connection, pass one or more')
  const receiver = new Receiver(target, options)
  const serving = more.map((duplex) => settle(async () => void (await receiver.accept(duplex))))
  const report = await receiver.accept(first)
  await Promise.all(serving)
  if (report !== undefined) return report
  throw new VfioError(
    'EPIPE',
    'Cannot receive: the source ended the connection before it began, migrate again',
  )
}
