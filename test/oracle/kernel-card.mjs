/**
 * A card of the guest's kernel. It and `stopcopy-card.mjs` have one interface, whose calls resolve to what a
 * system call gives, `{ result, bytes }`: a result or a negative errno, and the bytes it left.
 *
 * ```text
 * ioctl(fd, request, bytes, places?)  fd: 'device' or a data fd; places: where in bytes a pointer lies
 * read(fd, length)  write(fd, bytes)  poll(fd, events)  close(fd)
 * peek(port, register)  poke(port, register, value)
 * reopen()                            closes the device and opens it again
 * migrationDevice()                   the same card as a stopcopy MigrationDevice
 * end()
 * ```
 *
 * @module
 */
import { Request } from './card.mjs'
import { toHex } from './hex.mjs'
import { KernelDevice } from './kernel-device.mjs'

/** Cards of the guest by their number of ports, as demo/guest/init makes them. */
const CARDS = { 1: [8], 2: [0, 1, 2, 3, 4, 5, 6, 7] }

const inUse = new Set()

/** RLIMIT_NOFILE of a process that is not short of numbers. */
const MANY_FDS = 1024

const hexOrNone = (bytes) => (bytes.length === 0 ? '-' : toHex(bytes))

/**
 * Opens a card of the guest's kernel.
 *
 * @param {{ ports?: 1 | 2, noFds?: boolean }} [options] `noFds`: no fd number is free
 */
export async function openKernelCard(agent, { ports = 2, noFds = false } = {}) {
  const card = CARDS[ports].find((candidate) => !inUse.has(candidate))
  if (card === undefined) throw new Error(`Cannot open a card with ${ports} port(s): all are in use`)
  const open = async () => {
    const { result } = await agent.call('open', card)
    if (result < 0) throw new Error(`Cannot open card ${card} in the guest: errno ${result}`)
    return result
  }
  let device = await open()
  inUse.add(card)
  // The sample driver keeps the state of the last close. Asked to leave a RESUMING of which the close took the
  // session, Linux 6.12 follows a null pointer; a reset is the way around it.
  await agent.call('ioctl', device, Request.RESET, '-')
  if (noFds) await agent.call('limit', 0)
  const number = (fd) => (fd === 'device' ? device : fd)
  const target = {
    migrationDevice: () => new KernelDevice(target, ports),
    ioctl: async (fd, request, bytes, places = []) =>
      agent.call('ioctl', number(fd), request, hexOrNone(bytes), ...places),
    read: async (fd, length) => agent.call('read', fd, length),
    write: async (fd, bytes) => agent.call('write', fd, hexOrNone(bytes)),
    poll: async (fd, events) => agent.call('poll', fd, events),
    close: async (fd) => agent.call('close', fd),
    peek: async (port, register) => agent.call('peek', device, port, register, 1),
    poke: async (port, register, value) => agent.call('poke', device, port, register, toHex([value])),
    async reopen() {
      await agent.call('close', device)
      device = await open()
    },
    async end() {
      if (!inUse.delete(card)) return
      if (noFds) await agent.call('limit', MANY_FDS)
      await agent.call('close', device)
    },
  }
  return target
}
