/**
 * A card of the guest's kernel. It and `stopcopy-card.mjs` have one interface, whose calls resolve to what a
 * system call gives, `{ result, bytes }`: a result or a negative errno, and the bytes it left.
 *
 * ```text
 * ioctl(fd, request, bytes, places?)  fd: 'device' or a data fd; places: where in bytes a pointer lies
 * read(fd, length)  write(fd, bytes)  poll(fd, events)  close(fd)
 * peek(port, register)  poke(port, register, value)
 * reopen()                            closes the device and opens it again
 * end()
 * ```
 *
 * @module
 */
import { toHex } from './hex.mjs'

/** Cards of the guest by their number of ports. */
const CARDS = { 1: 2, 2: 0 }

/** RLIMIT_NOFILE of a process that is not short of numbers. */
const MANY_FDS = 1024

const hexOrNone = (bytes) => (bytes.length === 0 ? '-' : toHex(bytes))

/**
 * Opens a card of the guest's kernel.
 *
 * @param {{ ports?: 1 | 2, noFds?: boolean }} [options] `noFds`: no fd number is free
 */
export async function openKernelCard(agent, { ports = 2, noFds = false } = {}) {
  const open = async () => {
    const { result } = await agent.call('open', CARDS[ports])
    if (result < 0) throw new Error(`Cannot open card ${CARDS[ports]} in the guest: errno ${result}`)
    return result
  }
  let device = await open()
  if (noFds) await agent.call('limit', 0)
  const number = (fd) => (fd === 'device' ? device : fd)
  return {
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
      await agent.call('limit', MANY_FDS)
      await agent.call('close', device)
    },
  }
}
