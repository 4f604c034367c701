/**
 * Answers to a server that reads and writes the client's memory by message.
 *
 * @module
 */

import { Errno, VfioError } from '../errors.ts'
import { VfioUserCommand } from './command.ts'
import type { DmaMemory } from '../device/pci-function.ts'
import { errorHeader, replyHeader } from './header.ts'
import type { IncomingMessage } from './message-intake.ts'
import { DmaAccess } from './structs.ts'

/**
 * The answer to a command of the server: 16 bytes address and count, and the data of a DMA_READ; or the header
 * alone with ENODEV without memory, E2BIG for more than `maxDataBytes`, EINVAL for what is malformed or no command
 * of a server, and what the memory threw, EIO when that was no errno.
 */
export async function answerServer(
  { header, payload }: IncomingMessage,
  memory: DmaMemory | undefined,
  maxDataBytes: number,
): Promise<Uint8Array[]> {
  const { id, command } = header
  const refuse = (errno: number): Uint8Array[] => [errorHeader({ id, command, payloadBytes: 0 }, errno)]
  const isRead = command === VfioUserCommand.DMA_READ
  if (!isRead && command !== VfioUserCommand.DMA_WRITE) return refuse(Errno.EINVAL)
  if (payload.length < DmaAccess.byteLength) return refuse(Errno.EINVAL)
  if (memory === undefined) return refuse(Errno.ENODEV)
  const { address, count } = DmaAccess.decode(payload)
  if (count > BigInt(maxDataBytes)) return refuse(Errno.E2BIG)
  const data = isRead ? new Uint8Array(Number(count)) : payload.subarray(DmaAccess.byteLength)
  if (BigInt(data.length) !== count || address + count > 1n << 64n) return refuse(Errno.EINVAL)
  try {
    if (isRead) await memory.read(address, data)
    else await memory.write(address, data)
  } catch (error) {
    return refuse(VfioError.is(error) && error.errno !== 0 ? -error.errno : Errno.EIO)
  }
  const head = DmaAccess.encode({ address, count })
  const payloadBytes = head.length + (isRead ? data.length : 0)
  const answer = [replyHeader({ id, command, payloadBytes }), head]
  return isRead ? [...answer, data] : answer
}
