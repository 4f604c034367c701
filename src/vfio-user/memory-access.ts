/**
 * Ways to the client's memory.
 *
 * @module
 */

/**
 * How memory is reached that a client maps with a file: `'mapped'` into this process, the fastest, where a client
 * that shortens the file kills the process (SIGBUS); `'file'` reads and writes it by position, for clients that are
 * not trusted; `'message'` asks the client for each access, as for memory without a file.
 */
export type MemoryAccess = 'mapped' | 'file' | 'message'

/** Memory that a client maps with a file. */
export interface OfferedMemory {
  /** Its first DMA address. */
  readonly iova: bigint
  /** Bytes. */
  readonly byteLength: bigint
}

/** Says how one region is reached; asked when it is mapped. */
export type ChooseMemoryAccess = (region: OfferedMemory) => MemoryAccess
