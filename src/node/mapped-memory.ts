/**
 * Files mapped into this process, so that neither the bytes after `unmap` nor a wrong size can kill it.
 *
 * An ArrayBuffer over foreign memory cannot be taken from its holders in every supported Node. So `unmap` puts
 * empty memory in the file's place, and the addresses are given back when no JavaScript holds the buffer.
 *
 * @module
 */

import { constants } from 'node:buffer'
import { fstatSync } from 'node:fs'
import { VfioError } from '../errors.ts'
import type { MapAccess, MappedMemory } from '../vfio-user/index.ts'
import type { Libc } from './libc.ts'
import { descriptorFailure } from './system-failure.ts'

const PROT_READ_WRITE = 0x1 | 0x2
const MAP_SHARED = 0x1
const MAP_PRIVATE = 0x2
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MAP_NORESERVE = 0x4000
const SC_PAGESIZE = 30
const F_GET_SEALS = 1034
const F_SEAL_SHRINK = 0x2

interface Range {
  readonly libc: Libc
  readonly address: number
  readonly byteLength: number
}

const unreachable = new FinalizationRegistry<Range>(({ libc, address, byteLength }) => {
  libc.munmap(address, byteLength)
})

/** Maps a piece of a file, as {@link MapAccess} says. */
export function mapFile(
  libc: Libc,
  fd: number,
  offset: bigint,
  byteLength: number,
  access: MapAccess,
): MappedMemory {
  const action = `map ${byteLength} bytes of descriptor ${fd} from ${offset}`
  const unit = checkPiece(libc, action, fd, offset, byteLength, access)
  const skip = Number(offset % unit)
  const range: Range = { libc, address: 0, byteLength: roundUp(skip + byteLength, Number(unit)) }
  // Reading alone is a private mapping: a write into the bytes would kill the process where they are read-only.
  const flags = access.write ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE
  const address = libc.mmap(0, range.byteLength, PROT_READ_WRITE, flags, fd, offset - BigInt(skip))
  if (address < 0) {
    throw descriptorFailure(action, 'mmap', address)
  }
  const buffer = libc.view(address + skip, byteLength)
  unreachable.register(buffer, { ...range, address })
  return new MappedFile({ ...range, address }, new Uint8Array(buffer))
}

class MappedFile implements MappedMemory {
  readonly bytes: Uint8Array
  #range: Range | undefined

  constructor(range: Range, bytes: Uint8Array) {
    this.#range = range
    this.bytes = bytes
  }

  unmap(): void {
    const range = this.#range
    if (range === undefined) return
    const { libc, address, byteLength } = range
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
    const result = libc.mmap(address, byteLength, PROT_READ_WRITE, flags, -1, 0n)
    if (result < 0) {
      throw VfioError.fromErrno(result, `Cannot unmap ${byteLength} bytes: no memory is left, free some`, {
        syscall: 'mmap',
      })
    }
    this.#range = undefined
  }
}

/** The unit of positions in the file. */
function checkPiece(
  libc: Libc,
  action: string,
  fd: number,
  offset: bigint,
  byteLength: number,
  { requireSealed = false }: MapAccess,
): bigint {
  const refused = (reason: string): VfioError =>
    new VfioError('EINVAL', `Cannot ${action}: ${reason}`, { syscall: 'mmap' })
  if (!Number.isSafeInteger(byteLength) || byteLength < 1 || offset < 0n) {
    throw refused('that is no piece of a file, ask for one byte or more')
  }
  // Beyond it, making the buffer stops the process.
  if (byteLength > constants.MAX_LENGTH) {
    throw refused(`a buffer has at most ${constants.MAX_LENGTH} bytes here, map it in pieces`)
  }
  const { size, blksize, isRegular } = statOf(action, fd)
  if (!isRegular) throw refused('it is no regular file, pass a memfd or a file')
  // Touching what lies behind the end kills the process.
  if (offset + BigInt(byteLength) > size) throw refused(`the file has ${size} bytes, make it longer`)
  if (requireSealed) {
    const seals = libc.fcntl(fd, F_GET_SEALS, 0)
    if (seals < 0 || (seals & F_SEAL_SHRINK) === 0) {
      throw new VfioError('EPERM', `Cannot ${action}: it can still shrink, seal it (F_SEAL_SHRINK)`)
    }
  }
  const pageBytes = BigInt(libc.sysconf(SC_PAGESIZE))
  // Of huge pages, the unit is the file's block.
  const isBlock = blksize > pageBytes && (blksize & (blksize - 1n)) === 0n
  return isBlock ? blksize : pageBytes
}

function statOf(action: string, fd: number): { size: bigint; blksize: bigint; isRegular: boolean } {
  try {
    const stat = fstatSync(fd, { bigint: true })
    return { size: stat.size, blksize: stat.blksize, isRegular: stat.isFile() }
  } catch (error) {
    throw new VfioError('EBADF', `Cannot ${action}: it is not open, pass one that is`, { cause: error })
  }
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
