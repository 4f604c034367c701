/**
 * How many bytes of a device are still to be read, from its own counters as long as they fit what is seen.
 *
 * A device claims a stop-copy length and, in PRE_COPY, initial and dirty bytes; all are estimates and all
 * may be wrong. Three facts need no trust: the bytes read, ENOMSG (nothing that PRE_COPY can give is unread)
 * and that neither changes afterwards. So:
 *
 * - what is left is the larger of stop-copy length and initial + dirty, less what was read since they were
 *   asked for, and never their sum: drivers differ on whether one contains the other;
 * - 'too high': bytes are claimed although ENOMSG was said, twice in a row with nothing read between, or
 *   three times in a row for most of what was claimed;
 * - 'too low': three queries in a row, without ENOMSG between, were each followed by more than twice the
 *   bytes claimed, and by over 1 MiB more. Dirtying during one interval explains less than that, unless
 *   the device dirties faster than it is read, and then the counter is no better;
 * - after either, the bytes read between two ENOMSGs stand for the claims.
 *
 * A stop-copy length cannot be checked before the stop and is never replaced.
 *
 * @module
 */

/** What a device claims about *unread* data, bytes. Absent, negative, not finite or above 2^53: not known. */
export interface DeviceCounters {
  readonly stopCopyBytes?: number | undefined
  readonly initialBytes?: number | undefined
  readonly dirtyBytes?: number | undefined
  readonly reinit?: boolean | undefined
}

/** Differences up to this are no lie. */
const SLACK_BYTES = 1_048_576

/** Observations in a row that make a rule. */
const STRIKES = 3

/** The account of one device. */
export class RemainingBytes {
  #stopCopy: number | undefined
  /** initial + dirty as last claimed; undefined when not claimed, and after ENOMSG proved that it is read. */
  #precopy: number | undefined
  #claimsPrecopy = false
  #initial = 0
  #initialDone = false
  #initialEpoch = 0
  #readSinceClaim = 0
  #readSinceIdle = 0
  #readAtAll = 0
  /** Bytes between the last two ENOMSGs that had some between them; the beginning counts as one. */
  #lastPass: number | undefined
  /** The first figure ever claimed: bytes of the first pass. */
  #firstClaim: number | undefined
  #firstPassIsInitial = false
  #firstPassDone = false
  #idle = false
  #distrust: 'too low' | 'too high' | undefined
  #strikesLow = 0
  #strikesHigh = 0
  #wasLeftAtIdle = false

  /** Fresh estimates of the device. */
  counters(counters: DeviceCounters): void {
    if (counters.reinit === true) {
      this.#initialEpoch++
      this.#initialDone = false
      this.#initial = 0
      this.#strikesLow = 0
    } else {
      this.#judgeInterval()
    }
    const initial = known(counters.initialBytes)
    const dirty = known(counters.dirtyBytes)
    this.#stopCopy = known(counters.stopCopyBytes)
    this.#claimsPrecopy = initial !== undefined || dirty !== undefined
    this.#precopy = this.#claimsPrecopy ? (initial ?? 0) + (dirty ?? 0) : undefined
    this.#readSinceClaim = 0
    if (this.#firstClaim === undefined) {
      this.#firstClaim = this.#precopy ?? this.#stopCopy
      this.#firstPassIsInitial = (initial ?? 0) > 0 && (dirty ?? 0) === 0
    }
    this.#claimInitial(initial)
    if (this.#distrust === undefined && (this.#precopy ?? 0) > 0) this.#idle = false
  }

  /** Bytes were read from the session. */
  read(byteLength: number): void {
    if (!(byteLength > 0)) return
    this.#idle = false
    this.#readSinceClaim += byteLength
    this.#readSinceIdle += byteLength
    this.#readAtAll += byteLength
    const target = this.#firstClaim ?? Infinity
    if (target > 0 && this.#readAtAll >= target && this.#distrust !== 'too low') this.#firstPassDone = true
  }

  /** The session said ENOMSG: nothing is unread now. */
  idle(): void {
    this.#judgeIdle()
    if (this.#readSinceIdle > 0 || this.#lastPass === undefined) this.#lastPass = this.#readSinceIdle
    this.#stopCopy = this.#stopCopy === undefined ? undefined : this.#unreadStopCopy
    this.#precopy = undefined
    this.#readSinceClaim = 0
    this.#readSinceIdle = 0
    this.#strikesLow = 0
    this.#initialDone = true
    this.#firstPassDone = true
    this.#idle = true
  }

  /** Bytes still to be read if the device stopped now; Infinity when that is not known. */
  get bytes(): number {
    return Math.max(this.#unreadStopCopy, this.#unreadPrecopy)
  }

  /** Unread part of the initial chunk, at most: what was read may have been dirty bytes. */
  get initialBytes(): number {
    if (this.#initialDone) return 0
    return this.#distrust === 'too low' ? this.#initial : Math.min(this.#initial, this.#claimedPrecopy ?? 0)
  }

  /** Initial chunks announced after the first: one more for each REINIT. */
  get initialEpoch(): number {
    return this.#initialEpoch
  }

  /** Everything there was at the beginning has been read once. */
  get firstPassDone(): boolean {
    return this.#firstPassDone
  }

  /** Why observed bytes stand for the counters, if they do. */
  get distrust(): 'too low' | 'too high' | undefined {
    return this.#distrust
  }

  /** In PRE_COPY only what PRE_COPY can give is read: the rest of a stop-copy length stays. */
  get #unreadStopCopy(): number {
    const read = Math.min(this.#readSinceClaim, this.#precopy ?? Infinity)
    return Math.max((this.#stopCopy ?? 0) - read, 0)
  }

  get #unreadPrecopy(): number {
    if (this.#idle) return 0
    const claimed = this.#claimedPrecopy
    if (this.#distrust === undefined && claimed !== undefined) return claimed
    const observed = this.#observedPrecopy
    if (observed !== Infinity) return observed
    if (this.#distrust === 'too high') return claimed ?? Infinity
    // Only a stop-copy length is claimed: it is all that is known.
    const hasOnlyStopCopy = this.#stopCopy !== undefined && !this.#claimsPrecopy
    return this.#distrust === undefined && hasOnlyStopCopy ? 0 : Infinity
  }

  get #claimedPrecopy(): number | undefined {
    return this.#precopy === undefined ? undefined : Math.max(this.#precopy - this.#readSinceClaim, 0)
  }

  /** As much as last time, less what was read of it; longer than last time, nobody knows. */
  get #observedPrecopy(): number {
    const left = (this.#lastPass ?? -1) - this.#readSinceIdle
    return left >= 0 ? left : Infinity
  }

  /** An ENOMSG said that all of it is read, so a later claim without REINIT is no initial chunk. */
  #claimInitial(initial: number | undefined): void {
    if (this.#initialDone || initial === undefined) return
    this.#initial = initial
    if (initial > 0) return
    this.#initialDone = true
    if (this.#firstPassIsInitial && this.#distrust !== 'too low') this.#firstPassDone = true
  }

  #judgeInterval(): void {
    const claimed =
      this.#precopy === undefined ? this.#stopCopy : Math.max(this.#precopy, this.#stopCopy ?? 0)
    if (claimed === undefined || this.#readSinceClaim === 0) return
    const isLow = this.#readSinceClaim > claimed + Math.max(claimed, SLACK_BYTES)
    this.#strikesLow = isLow ? this.#strikesLow + 1 : 0
    if (this.#strikesLow < STRIKES || this.#distrust !== undefined) return
    this.#distrust = 'too low'
    // What earlier passes had says nothing about this one.
    this.#lastPass = undefined
  }

  #judgeIdle(): void {
    if (this.#precopy === undefined) return
    const left = this.#precopy - this.#readSinceClaim
    const isMost = left > Math.max(this.#precopy / 2, SLACK_BYTES)
    const isTwice = left > 0 && this.#wasLeftAtIdle && this.#readSinceIdle === 0
    this.#strikesHigh = isMost ? this.#strikesHigh + 1 : 0
    this.#wasLeftAtIdle = left > 0
    if (isTwice || this.#strikesHigh >= STRIKES) this.#distrust ??= 'too high'
  }
}

function known(byteLength: number | undefined): number | undefined {
  return byteLength !== undefined && byteLength >= 0 && byteLength <= 2 ** 53 ? byteLength : undefined
}
