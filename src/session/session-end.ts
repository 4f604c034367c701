/**
 * The driver's side of a data session: its source when saving, its sink when resuming.
 *
 * A driver returns one from the arc that opens a session. {@link DataSession} is the user's
 * side and owns everything that is the same for all drivers: direction, end of life, sticky
 * failures, poll bits, the precopy ioctl and the WHATWG views.
 *
 * @module
 */

/** What the precopy ioctl reports about *unread* data, in bytes; estimates. */
export interface PrecopyInfo {
  /** What should reach the destination before the switchover; reaches 0 as it is read. */
  initialBytes: number
  /** State that changed after it was first captured. */
  dirtyBytes: number
  /** A new initial chunk began (VFIO_PRECOPY_INFO_REINIT); shown only after the INFOv2 opt-in. */
  reinit: boolean
}

/**
 * A second thread, from `createWorker` of `stopcopy/node` or `stopcopy/web`. This is all that a session and
 * its user see of it: what it does is between it and the driver.
 */
export interface SessionWorker {
  /** True once it takes no work any more. */
  readonly closed: boolean
}

/** What a resuming session took of some bytes. */
export interface Absorbed {
  /** How many of the first bytes were taken, one or more. */
  readonly byteLength: number
  /** Where it exists, they are read until it is settled, and must not change before. */
  readonly reading?: PendingRead | undefined
}

/** Bytes that a worker still reads. */
export interface PendingRead {
  /** Whether they are read no more. */
  readonly settled: boolean
  /** Resolves when it is settled; who waits helps, so wait only when there is nothing else to do. */
  wait(): Promise<void>
}

/** Saving: device to stream. */
export interface SaveEnd {
  /** Tells the ends apart. */
  readonly direction: 'save'
  /**
   * Fills `dst` from its front and returns the number of bytes, 1 to `dst.length`. 0: nothing is
   * left, which is permanent in STOP_COPY; in PRE_COPY the session turns it into ENOMSG.
   * Throws EAGAIN when data is on its way, or the device's failure.
   */
  read(dst: Uint8Array): number
  /** POLLIN | POLLRDNORM when a read would not be EAGAIN or ENOMSG, else 0. */
  poll(): number
  /** Called in PRE_COPY and PRE_COPY_P2P only; absent means ENOTTY. */
  precopyInfo?(): PrecopyInfo
  /**
   * The next 1 to `maxBytes` stream bytes without a copy, or an empty view when nothing is left.
   * Leases queue in stream order. Absent: the session leases out copies made with `read`.
   */
  lease?(maxBytes: number): Uint8Array
  /** Gives back the oldest lease. Also called for leases still out after `end()`. */
  release?(): void
  /** Gets a function to call whenever `poll()` may have gained a bit. */
  attach?(wake: () => void): void
  /** Gets a worker to use. EBADF and EIO when it takes no work; one that is of no use here is ignored. */
  attachWorker?(worker: SessionWorker): Promise<void>
  /** A 0 of `read` in PRE_COPY is shown to the user's `read` as it is (profile exact). */
  readonly rawEnd?: boolean
  /** The session ended (arc, reset, close, error): give back memory. Called once, must not throw. */
  end(): void
}

/** Resuming: stream to device. */
export interface ResumeEnd {
  /** Tells the ends apart. */
  readonly direction: 'resume'
  /**
   * Takes all of `src` or throws, any segmentation; returns `src.length`. A content failure must be
   * thrown again by every later call (sticky; the session remembers it too); EAGAIN, EBADF, EFAULT,
   * EBUSY and ENOMEM consume nothing and are not sticky.
   */
  write(src: Uint8Array): number
  /** Where the next 1 to `maxBytes` stream bytes belong. Absent: the session stages through `write`. */
  window?(maxBytes: number): Uint8Array
  /** The first `byteLength` bytes of the window were filled. Throws as `write`. */
  commit?(byteLength: number): void
  /**
   * Takes the first bytes of `src`, which is not empty, and may go on reading them after it returned.
   * Throws as `write`. Absent: the session uses `write`.
   */
  absorb?(src: Uint8Array): Absorbed
  /** POLLOUT when a write would not be EAGAIN; absent means always writable. */
  poll?(): number
  /**
   * Runs before the ended check of a write (profile exact: mtty's ENOMEM precedes its ENODEV), so it is
   * also called after `end()`: an end that has it is kept, and must hold no engine memory by then.
   */
  admit?(byteLength: number): void
  /** `false`: the session does not remember a failed write (profile exact: mtty forgets its EFAULT). */
  readonly stickyFailures?: boolean
  /** Gets a function to call whenever `poll()` may have gained a bit. */
  attach?(wake: () => void): void
  /** As of a saving end. */
  attachWorker?(worker: SessionWorker): Promise<void>
  /** The session ended: give back memory. Called once, must not throw. */
  end(): void
}

/** The driver's side of a session. */
export type SessionEnd = SaveEnd | ResumeEnd
