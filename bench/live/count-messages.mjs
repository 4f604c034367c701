/**
 * Counts what a migration's source asks its destination.
 *
 * @module
 */

/** Where a frame's type stands, the length of its header, and the type of data (src/migrate/handover/frame.ts). */
const [TYPE_AT, HEADER_BYTES, DATA] = [6, 64, 5]

/**
 * A duplex that does what `duplex` does, and how many frames were written that are no data: each of them has
 * one answer.
 *
 * @param {import('stopcopy').ByteDuplex} duplex
 */
export function countMessages(duplex) {
  let requests = 0
  const counting = {
    read: (dst) => duplex.read(dst),
    ...(duplex.lease && { lease: (most) => duplex.lease(most), release: () => duplex.release() }),
    write(chunks) {
      const [header] = chunks
      if (header.length === HEADER_BYTES && header[TYPE_AT] !== DATA) requests++
      return duplex.write(chunks)
    },
    close: () => duplex.close(),
    abort: (reason) => duplex.abort(reason),
    cancel: (reason) => duplex.cancel(reason),
  }
  return { duplex: counting, requests: () => requests }
}
