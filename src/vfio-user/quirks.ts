/**
 * Where implementations of vfio-user disagree: how a server behaves towards clients of one or the other.
 *
 * @module
 */

/** Ways of a server, each with a name. */
export interface ServerQuirks {
  /**
   * A failed command is answered by a header alone, as the protocol says and C clients need. False: as
   * libvfio-user does, a failed DEVICE_FEATURE SET echoes 16 bytes, a failed region access its 16 and `count`.
   * Default true.
   */
  readonly bareErrors: boolean
  /** Replies to MIG_DATA_READ are as long as was asked for, zeros behind the data. Default true: libvfio-user's. */
  readonly padMigDataReplies: boolean
  /** The reply to VERSION has the client's minor version even where it is higher than ours. Default false. */
  readonly echoMinor: boolean
  /**
   * Most bytes of a VERSION reply, its header included; capabilities that do not fit are left out. The identity
   * that a client asked for does not count. Default 214: QEMU's, which takes no reply longer than its request.
   */
  readonly versionReplyBytes: number
  /**
   * DMA_LOGGING_REPORT of a region without a file is EINVAL, as with libvfio-user, since its client has seen the
   * writes. Default false: it is told what was written.
   */
  readonly refuseMessageReports: boolean
  /**
   * The device reaches memory only while the bus master bit of its command register is set. Default true, as in
   * hardware; false for clients that never write configuration space, such as libvfio-user's sample.
   */
  readonly requireBusMaster: boolean
}

/** What a server does unless told otherwise. */
export const SERVER_QUIRKS: ServerQuirks = {
  bareErrors: true,
  padMigDataReplies: true,
  echoMinor: false,
  versionReplyBytes: 214,
  refuseMessageReports: false,
  requireBusMaster: true,
}
