/**
 * Where each errno comes from in this protocol, and what to do.
 *
 * @module
 */

import type { ErrnoName } from '../../errors.ts'
import type { Cause } from './answer.ts'

const FEATURE = 'VFIO_DEVICE_FEATURE'
const SET_STATE = 'SET MIG_DEVICE_STATE'
const START = 'DMA_LOGGING_START'
const REPORT = 'DMA_LOGGING_REPORT'
const PRECOPY = 'VFIO_MIG_GET_PRECOPY_INFO'
const READ = 'read of a data fd'
const WRITE = 'write of a data fd'
const STREAM = 'a checked migration stream'

/** Causes by errno, the likeliest first. An errno without an entry has no meaning of its own here. */
export const ERRNO_CAUSES: Partial<Record<ErrnoName, readonly Cause[]>> = {
  EINVAL: [
    cause(
      SET_STATE,
      'the state is ERROR, above 7, or needs a flag the device lacks',
      'get MIGRATION and ask for a state of its set',
    ),
    cause(SET_STATE, 'the device is in ERROR', 'reset it'),
    cause(SET_STATE, 'STOP_COPY cannot go back to PRE_COPY or PRE_COPY_P2P', 'go to STOP first'),
    cause(
      `${SET_STATE} out of RESUMING`,
      'the stream was incomplete or did not pass its check; mostly still RESUMING',
      'get the state, then write the rest or reset',
    ),
    cause(
      FEATURE,
      'argsz does not cover the structure, or is below 8',
      'set argsz to 8 plus the size of the data',
    ),
    cause(
      FEATURE,
      'GET and SET together without PROBE, no operation at all, one the feature lacks, or bits 19 to 31',
      'correct the flags',
    ),
    cause(FEATURE, 'the kernel is older than 2025 and does not know the feature', 'read it as ENOTTY'),
    cause('MIG_PRECOPY_INFOv2', 'the device has no PRE_COPY', 'go on without it'),
    cause(
      START,
      'no ranges, a bad page size, or a range unaligned, empty or overlapping; or logging runs already',
      'correct the ranges, or stop logging first',
    ),
    cause(
      REPORT,
      'the page size is below 4096 or no power of two, logging is off, or the range is not logged',
      'correct the query and count everything as dirty',
    ),
    cause(
      PRECOPY,
      'argsz is below 24, or the device is not in PRE_COPY or PRE_COPY_P2P',
      'set argsz to 24, ask in PRE_COPY only',
    ),
  ],
  ENOTTY: [
    cause(
      FEATURE,
      'the device or the kernel lacks the feature; this comes before any look at flags or argsz',
      'go on without it',
    ),
    cause('GET MIGRATION', 'the device cannot migrate', 'block migration of this machine'),
    cause(
      START,
      'the device has no dirty tracking of its own',
      "use the IOMMU's, or count everything as dirty",
    ),
    cause(
      'ioctl of a data fd',
      'the request is unknown, or the fd is a resuming one',
      'ask for precopy info on a saving fd only',
    ),
  ],
  EFAULT: [
    cause(
      FEATURE,
      'the buffer, or an array it points at, is not readable or writable',
      'check the pointer and the size',
    ),
    cause(
      SET_STATE,
      'the result could not be written back: the state has changed and its data fd is lost',
      'leave the state and enter it again',
    ),
    cause(
      WRITE,
      'hisi and mtty: the header of the stream does not match; later writes may still pass',
      'reset and compare device types and versions',
    ),
    cause(`${READ}, or write`, 'the buffer is outside the memory', 'check the pointer and the size'),
  ],
  ENOMSG: [
    cause(
      `${READ} in PRE_COPY`,
      'nothing is left for now, more may come',
      'go on, or enter STOP_COPY; this is no failure',
    ),
  ],
  EAGAIN: [
    cause(`${READ}, or write, non-blocking`, 'the device is not ready yet', 'poll, then try again'),
    cause('VFIO_DEVICE_RESET', 'the reset could not take its locks', 'try again'),
  ],
  ENODEV: [
    cause(
      `${READ}, or write`,
      'the session ended: its state was left, or the device was reset or closed',
      'close the fd and start a new session',
    ),
    cause(READ, 'mlx5: the device failed while saving', 'abort the migration and reset'),
  ],
  EBADF: [
    cause(
      `${READ}, or write`,
      'a saving fd was written, a resuming one read, or the fd is closed',
      'use the fd of the right direction',
    ),
    cause(
      'QEMU',
      'a transition returned a data fd while one was held: a reset raced it',
      'start the migration again',
    ),
  ],
  ENOMEM: [
    cause(
      WRITE,
      'the write is longer than what the device still takes; nothing was consumed',
      'check that source and destination match',
    ),
    cause(
      `${START}, ${REPORT}`,
      'no memory for the ranges or the bitmap',
      'merge ranges, or report in parts',
    ),
    cause('opening a device', 'its memory does not fit the engine', 'make an engine with more memory'),
  ],
  EMFILE: [
    cause(
      SET_STATE,
      'no fd number is free: the state has changed and its session cannot be reached',
      'close fds, leave the state and enter it again',
    ),
  ],
  ENFILE: [
    cause(
      SET_STATE,
      'the system has no file left: the state has changed and its session cannot be reached',
      'leave the state and enter it again later',
    ),
  ],
  E2BIG: [cause(START, 'more than 256 ranges', 'merge ranges')],
  EOVERFLOW: [
    cause(`${START}, ${REPORT}`, 'iova plus length reaches 2^64', 'shorten the range'),
    cause(WRITE, 'qat: the position overflowed', 'check that source and destination match'),
  ],
  EIO: [
    cause(FEATURE, 'the device could not be powered up', 'look at the kernel log'),
    cause(SET_STATE, 'the device failed; pds gives it for every request in ERROR', 'reset'),
    cause(REPORT, 'the tracker broke', 'count everything as dirty'),
    cause('register access', 'the device is in ERROR', 'reset'),
  ],
  EBUSY: [
    cause('register access', 'the device is in RESUMING', 'leave RESUMING first'),
    cause('data session', 'a lease or a window is still out', 'release or commit it first'),
    cause(
      SET_STATE,
      'hisi: the device is busy or reports errors when it is to stop',
      'try again, else reset',
    ),
  ],
  EOPNOTSUPP: [
    cause(
      WRITE,
      'the stream has a version, or a mandatory section or record, that the device does not know',
      'migrate between versions that know each other',
    ),
    cause(START, 'pds: the device has no dirty tracking', "use the IOMMU's"),
    cause('QEMU', 'the device lacks STOP_COPY', 'block migration of this machine'),
  ],
  EINTR: [
    cause(`${READ}, blocking`, 'a signal arrived', 'read again'),
    cause(SET_STATE, 'the call was aborted between two arcs', 'get the state'),
  ],
  ENOTCONN: [
    cause(
      `MIG_DATA_SIZE, ${REPORT}`,
      'mlx5: the physical function is detached',
      'bring it back, or count everything as dirty',
    ),
  ],
  ESPIPE: [cause('lseek, pread, pwrite of a data fd', 'the stream has no position', 'use read and write')],
  EFBIG: [cause(WRITE, 'igb: the write is too long', 'check that source and destination match')],
  ENOSPC: [
    cause(
      SET_STATE,
      'igb: the image does not fit when it is loaded',
      'check that source and destination match',
    ),
  ],
  EEXIST: [cause(START, 'pds: logging runs already', 'stop it first')],
  ENOENT: [cause(SET_STATE, 'pds: the session could not be created', 'try again, else reset')],
  EBADMSG: [
    cause(STREAM, 'a checksum does not match: the bytes were damaged on the way', 'send or save again'),
  ],
  EPROTO: [
    cause(
      STREAM,
      'it is malformed: not one of ours, out of order or cut short',
      'run `stopcopy verify` on the saved file',
    ),
  ],
  EPIPE: [cause('a transport', 'the other end is gone', 'look at the other end, then start again')],
  EMSGSIZE: [cause(STREAM, 'a length is above its limit', 'raise the limit if the source is trusted')],
  ECANCELED: [
    cause('a migration', 'it was cancelled', 'nothing: the source runs on unless the report says otherwise'),
  ],
  ETIMEDOUT: [
    cause(
      'a migration',
      'the other end did not answer in time',
      'find out which end runs the device before you start it',
    ),
  ],
}

function cause(from: string, why: string, remedy: string): Cause {
  return { from, why, remedy }
}
