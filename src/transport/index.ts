/**
 * Byte transports, and the pumps between them and a data session.
 *
 * @module
 */

export type { ByteDuplex, ByteSink, ByteSource, ByteWindows } from './byte-stream.ts'
export { canceled } from './interruption.ts'
export { LoopTurns } from './loop-turns.ts'
export { MEMORY_PAIR_BYTES, memoryPair } from './memory-duplex.ts'
export type { MessageChannelEvents, MessageChannelLike } from './message-channel.ts'
export { messageDuplex, type MessageDuplexOptions, messageLimits } from './message-duplex.ts'
export { ownedChunks } from './owned-chunks.ts'
export {
  type LeaseSession,
  pumpFromSource,
  pumpToSink,
  type TransferProgress,
  type WindowSession,
} from './pump.ts'
export { settle } from './settle.ts'
export {
  byteDuplex,
  byteSink,
  byteSource,
  type DuplexLike,
  type SinkLike,
  type SourceLike,
} from './web-streams.ts'
