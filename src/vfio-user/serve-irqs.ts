/**
 * Answers DEVICE_SET_IRQS.
 *
 * @module
 */

import { type Answer, argumentsOf, HEADER_ONLY, refusal } from './command-answer.ts'
import type { QueuedCommand } from './command-queue.ts'
import { IrqIndex } from './interrupts.ts'
import type { ServedClient } from './served-client.ts'
import { IrqSet } from './structs.ts'

const DATA_NONE = 1
const DATA_BOOL = 2
const DATA_EVENTFD = 4
const ACTION_MASK = 8
const ACTION_UNMASK = 16
const ACTION_TRIGGER = 32
const DATA: readonly number[] = [DATA_NONE, DATA_BOOL, DATA_EVENTFD]
const ACTIONS: readonly number[] = [ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER]

/**
 * Assigns eventfds to vectors, masks, unmasks or triggers them.
 *
 * @throws {@link VfioError} EINVAL flags that are not one data type and one action, vectors that are not there,
 * fewer bytes than vectors, other descriptors than none or an eventfd for each vector
 */
export function serveSetIrqs(command: QueuedCommand, client: ServedClient): Answer {
  const set = argumentsOf(IrqSet, command)
  const { interrupts } = client
  const { index, start, count } = set
  const [data, action] = operationOf(set)
  const vectors = interrupts.count(index)
  if (vectors === undefined) throw refusal(`there is no interrupt ${index}, set 0 to 4`)
  if ((index === IrqIndex.ERR || index === IrqIndex.REQ) && action !== ACTION_TRIGGER)
    throw refusal(`interrupt ${index} has no mask, trigger it`)
  if (command.fds.length > 0 && data !== DATA_EVENTFD)
    throw refusal('descriptors came with a set that has none, send none')
  if (count === 0) {
    if (data !== DATA_NONE || action !== ACTION_TRIGGER || start !== 0)
      throw refusal('no vectors, which is for disabling all: none and trigger, from 0')
    interrupts.disable(index)
    return HEADER_ONLY
  }
  if (start + count > vectors)
    throw refusal(`vectors ${start} to ${start + count - 1} of interrupt ${index}, which has ${vectors}`)
  if (data === DATA_EVENTFD) assign(command, client, set)
  else operate(command, client, set, data, action)
  return HEADER_ONLY
}

function operationOf({ flags }: IrqSet): [data: number, action: number] {
  const data = DATA.filter((bit) => (flags & bit) !== 0)
  const actions = ACTIONS.filter((bit) => (flags & bit) !== 0)
  const isOneEach = data.length === 1 && actions.length === 1 && flags >>> 6 === 0
  if (!isOneEach) throw refusal(`flags 0x${flags.toString(16)}, set one data type and one action`)
  const operation: [number, number] = [data[0] as number, actions[0] as number]
  if (operation[0] === DATA_EVENTFD && operation[1] !== ACTION_TRIGGER)
    throw refusal('eventfds are for triggers, mask by none or bool')
  return operation
}

function assign({ fds }: QueuedCommand, client: ServedClient, { index, start, count }: IrqSet): void {
  if (fds.length !== 0 && fds.length !== count)
    throw refusal(`${fds.length} descriptors for ${count} vectors, send one for each or none`)
  if (client.fds === undefined) {
    const reason = 'no descriptors come with this connection, use one that passes them'
    client.tell({ kind: 'unavailable', what: `interrupt ${index}`, reason })
  }
  // Anything else could take its time over a signal, or count it differently.
  if (fds.some((fd) => client.fds?.isEvent(fd) !== true))
    throw refusal('a descriptor is no eventfd, send eventfds')
  const eventFds = fds.splice(0)
  for (let n = 0; n < count; n++) client.interrupts.assign(index, start + n, eventFds[n])
}

function operate(
  { payload }: QueuedCommand,
  { interrupts }: ServedClient,
  { index, start, count }: IrqSet,
  data: number,
  action: number,
): void {
  const wanted = payload.subarray(IrqSet.byteLength)
  if (data === DATA_BOOL && wanted.length < count)
    throw refusal(`${wanted.length} bytes for ${count} vectors, send one for each`)
  for (let n = 0; n < count; n++) {
    if (data === DATA_BOOL && wanted[n] === 0) continue
    if (action === ACTION_TRIGGER) interrupts.trigger(index, start + n)
    else interrupts.mask(index, start + n, action === ACTION_MASK)
  }
}
