/**
 * Event bits of `poll(2)`, as a data session reports them.
 *
 * @module
 */

/** Data can be read, or the end of the stream was reached. */
export const POLLIN = 0x1
/** Data can be written. */
export const POLLOUT = 0x4
/** The stream failed. */
export const POLLERR = 0x8
/** The other side is gone: the session ended. */
export const POLLHUP = 0x10
/** The fd is not open. */
export const POLLNVAL = 0x20
/** As {@link POLLIN}; set together with it. */
export const POLLRDNORM = 0x40
/** As {@link POLLOUT}; set together with it. */
export const POLLWRNORM = 0x100
/** The other side stopped writing. */
export const POLLRDHUP = 0x2000
