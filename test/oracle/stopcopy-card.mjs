/**
 * A stopcopy mtty, driven through the byte ioctl, with the interface of `kernel-card.mjs`.
 *
 * @module
 */

const NO_BYTES = new Uint8Array(0)

/** poll(2) reports these whether they were asked for or not: POLLERR, POLLHUP, POLLNVAL. */
const ALWAYS_REPORTED = 0x38

async function openCard({ FdTable, VfioDevice, VfioError, createMtty }, { ports, noFds, profile }) {
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
    if (found === undefined)
      throw new VfioError('EBADF', `Cannot use fd ${fd}: it is not open, open it first`)
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
    migrationDevice: () => device,
    async reopen() {
      await device.close()
      device = await VfioDevice.open(mtty, { fds })
    },
    /** The conformance suite may have closed it. */
    async end() {
      try {
        await device.close()
      } catch (error) {
        if (!VfioError.is(error, 'EBADF')) throw error
      }
    },
  }
}

/**
 * A function that opens cards.
 *
 * @param {object} library FdTable, VfioDevice, VfioError and createMtty: of the built package, or of its sources
 * @returns {(options: { ports?: 1 | 2, noFds?: boolean, profile?: 'exact' | 'strict' }) => Promise<object>}
 */
export function stopcopyCards(library) {
  return async ({ ports = 2, noFds = false, profile = 'exact' }) =>
    openCard(library, { ports, noFds, profile })
}
