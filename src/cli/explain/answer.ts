/**
 * The shape of one answer of `stopcopy explain`.
 *
 * @module
 */

/** One field of a structure. */
export interface ExplainedField {
  /** Kernel spelling. */
  readonly name: string
  /** Offset in the buffer, bytes. */
  readonly offset: number
  readonly type: string
  /** Decimal; a string, since a u64 does not fit a JSON number. */
  readonly value: string
  /** The value in words. */
  readonly meaning: string
}

/** One way to get an errno. */
export interface Cause {
  /** The call that returns it. */
  readonly from: string
  readonly why: string
  readonly remedy: string
}

/** What something means; a word or number can have several. */
export interface Answer {
  readonly kind:
    | 'feature call'
    | 'precopy info'
    | 'errno'
    | 'feature'
    | 'feature flags'
    | 'state'
    | 'flag'
    | 'request'
    | 'v1 state'
  /** One line: what it is. */
  readonly title: string
  /** Present for buffers. */
  readonly fields?: readonly ExplainedField[]
  /** What a device refuses about it, errno first. */
  readonly problems?: readonly string[]
  /** Present for errnos: where it comes from, the likeliest first. */
  readonly causes?: readonly Cause[]
  /** More sentences. */
  readonly notes: readonly string[]
}
