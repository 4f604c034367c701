/**
 * The things that are compared, behind one interface: a card of the guest's kernel, and a stopcopy mtty.
 * Every call resolves to what a system call gives: a result or a negative errno, and the bytes it left.
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
import { FdTable, VfioDevice, VfioError } from 'stopcopy'
import { createMtty } from 'stopcopy/devices'
import { toHex } from './agent.mjs'

const NO_BYTES = new Uint8Array(0)

/** poll(2) reports these whether they were asked for or not: POLLERR, POLLHUP, POLLNVAL. */
const ALWAYS_REPORTED = 0x38

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

/**
 * Opens a stopcopy mtty, driven through the byte ioctl.
 *
 * @param {{ ports?: 1 | 2, noFds?: boolean, profile?: 'exact' | 'strict' }} [options]
 */
export async function openStopcopyCard({ ports = 2, noFds = false, profile = 'exact' } = {}) {
  const mtty = createMtty({ ports, profile })
  const fds = new FdTable(noFds ? { limit: 0 } : {})
  let device = await VfioDevice.open(mtty, { fds })

  /** A call as a system call: what it throws becomes a negative errno. */
  async function outcome(call) {
    try {
      return (await call()) ?? 0
    } catch (error) {
      if (!VfioError.is(error)) throw error
      return error.errno
    }
  }
  const session = (fd) => {
    const found = fds.get(fd)
    if (found === undefined) throw new VfioError('EBADF', `Cannot use fd ${fd}: it is not open, open it first`)
    return found
  }
  return {
    async ioctl(fd, request, bytes) {
      const memory = Uint8Array.from(bytes)
      const result = await outcome(() => (fd === 'device' ? device : session(fd)).ioctl(request, memory))
      return { result, bytes: memory }
    },
    async read(fd, length) {
      const dst = new Uint8Array(length)
      const result = await outcome(() => session(fd).read(dst))
      return { result, bytes: dst.subarray(0, Math.max(result, 0)) }
    },
    write: async (fd, bytes) => ({ result: await outcome(() => session(fd).write(bytes)), bytes: NO_BYTES }),
    async poll(fd, events) {
      const result = await outcome(() => session(fd).poll() & (events | ALWAYS_REPORTED))
      return { result, bytes: NO_BYTES }
    },
    close: async (fd) => ({ result: await outcome(() => fds.close(fd)), bytes: NO_BYTES }),
    async peek(port, register) {
      const dst = new Uint8Array(1)
      const result = await outcome(() => device.regions.read(port, register, dst))
      return result < 0 ? { result, bytes: NO_BYTES } : { result: 1, bytes: dst }
    },
    async poke(port, register, value) {
      const result = await outcome(() => device.regions.write(port, register, Uint8Array.of(value)))
      return { result: result < 0 ? result : 1, bytes: NO_BYTES }
    },
    async reopen() {
      await device.close()
      device = await VfioDevice.open(mtty, { fds })
    },
    end: async () => device.close(),
  }
}
